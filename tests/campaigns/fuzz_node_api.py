"""All endpoints of a node that runs, asked for long with requests drawn from its OpenAPI document.

    python tests/campaigns/fuzz_node_api.py --minutes 10 --seed 1

No answer may be 5xx or differ from the document, and what the server prints may hold no traceback. At the end the
deployment must be healthy or switched off, since that is asked for too, and the server must end when asked to. Each
round prints how often each status was answered.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.node_api.asked_target import ENDPOINTS, LISTED, Target
from tests.node_api.fuzzed import Asker, draw_case, draw_changed, list_operations, open_asker

EXAMPLES = 25
DESTRUCTIVE = ("delete_deployment", "delete_bundle")
"""Asked by drawn names alone: what is there is needed by the others."""


def run_drawn(strategy: st.SearchStrategy[Any], ask: Callable[[Any], None], number: int) -> None:
    """Ask with what a strategy draws with a seed."""

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(drawn=strategy)
    def run(drawn: Any) -> None:
        ask(drawn)

    run()


def ask_changed(target: Target, statuses: Counter[int], method: str, template: str, body: Any) -> None:
    """Send a right request whose body was changed; raises AssertionError if the answer is a fault."""
    answer = target.send("admin", method, target.fill(method, template), body)
    statuses[answer.status_code] += 1
    # An update that is right all the same begins; what comes meanwhile is refused, and need not be refused by 409.
    assert answer.status_code < 500 or answer.headers.get("retry-after"), (template, body, answer.text)
    assert "Traceback" not in answer.text, (template, body, answer.text)


def fuzz(target: Target, asker: Asker, minutes: float, first: int) -> list[str]:
    """Ask until the time is over; return what was wrong, each thing once."""
    there = {"name": "production", "scenario": "probe", "run": target.run, "number": str(target.fire),
             "id": target.operation}  # fmt: skip
    with_body = [place for place, one in ENDPOINTS.items() if one.body not in (None, "bundle") and one.role != "admin"]
    until, number, wrong, statuses = time.monotonic() + 60 * minutes, first, {}, Counter[int]()
    while time.monotonic() < until:
        for name, operation in list_operations().items():
            known = {} if name in DESTRUCTIVE else dict(there)
            if "bundles" in operation.path:
                known["id"] = target.bundles[0][0]
            try:
                run_drawn(draw_case(name, known), asker.ask, number)
            except (Exception, BaseExceptionGroup) as problem:  # noqa: BLE001 - told below, whatever it is
                wrong.setdefault(f"{name}: {str(problem)[:1500]}", None)
        for method, template in with_body:
            right = target.build_body(method, template)

            def ask(body: Any, method: str = method, template: str = template) -> None:
                ask_changed(target, statuses, method, template, body)

            try:
                run_drawn(draw_changed(right), ask, number)
            except (Exception, BaseExceptionGroup) as problem:  # noqa: BLE001 - told below, whatever it is
                wrong.setdefault(f"{template}: {str(problem)[:1500]}", None)
        number += 1
        asked = Counter(asker.answers) + statuses
        print(f"round {number - first}: {asked.total():,} requests, {dict(sorted(asked.items()))}", flush=True)
    return list(wrong)


def main() -> int:
    """Run the campaign; return 1 if something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        target = Target(Path(temporary))
        try:
            with open_asker(target.node.url, target.node.tokens["admin"]) as asker:
                wrong = fuzz(target, asker, options.minutes, options.seed)
            printed = target.node.server.err.read_text() + target.node.server.out.read_text()
            if "Traceback" in printed or "a bug of the engine" in printed:
                wrong.append(f"the server has printed:\n{printed[-4000:]}")
            answer = target.send("viewer", "GET", LISTED)
            state = answer.json()["state"]
            print(f"revision {state['row']['active_revision']} is active, {state['active']['state']}")
            if state["active"]["state"] not in ("HEALTHY", "OFF"):
                wrong.append(f"the deployment is {state}")
            if target.node.server.end():
                wrong.append(target.node.server.describe())
        finally:
            target.node.kill()
    for text in wrong:
        print(f"\n{text}")
    print(f"{len(wrong)} things were wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
