"""Some endpoints of a node, asked with drawn requests; `tests/campaigns/fuzz_node_api.py` asks all of them for long."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case

from .fuzzed import draw_case, open_asker
from .node_server import NodeServer


def run_drawn(name: str, ask: Callable[[Case], None], examples: int) -> None:
    """Ask with drawn requests, the same ones each time."""

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=draw_case(name, {"name": "production", "scenario": "probe"}))
    def run(case: Case) -> None:
        ask(case)

    run()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["update_deployment", "list_events", "pause_scenario"])
def test_no_drawn_request_makes_a_fault_or_an_answer_that_is_not_in_the_document(served: NodeServer, name: str) -> None:
    with open_asker(served.url, served.tokens["admin"]) as asker:
        run_drawn(name, asker.ask, 40)
    assert sum(asker.answers.values()) >= 40
    assert not {status for status in asker.answers if status >= 500}
    assert served.node.list_deployments() == []
