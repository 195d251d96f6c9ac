"""Plans against runs, over many more scenarios than tests/scenarios/drawn_scenarios.py draws.

    .venv/bin/python tests/campaigns/plan_against_run.py
    .venv/bin/python tests/campaigns/plan_against_run.py --examples 2000 --seed 1
    .venv/bin/python tests/campaigns/plan_against_run.py --examples 2000 --all

What a plan claims is said in tests/scenarios/plan_comparison.py. Without `--all`, the first scenario whose plan and run
differ is made as small as possible and shown: the YAML, the differences, both sequences of steps and actions. With
`--all` nothing is made smaller: the differences are counted by kind, each with the shortest scenario that shows it. 100
examples take about a minute on two idle cores.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, assume, given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1]))

from scenarios.drawn_scenarios import NAMES, Case, cases
from scenarios.plan_comparison import compare_rounds, explain

from engine.errors import SpecError


class Differ(Exception):  # noqa: N818  it ends the search, and its text is the answer
    """A plan and its run differ."""


class Campaign:
    """What has been compared, and what has been found."""

    def __init__(self) -> None:
        self.examples = 0
        self.invalid = 0
        self.runs = 0
        self.claims: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.shortest: dict[str, str] = {}

    def compare(self, case: Case, *, stop: bool) -> None:
        """Compare the plans of a case with its runs; with `stop`, raise Differ if they differ."""
        self.examples += 1
        with tempfile.TemporaryDirectory() as folder:
            try:
                for change, plan, runs, found in compare_rounds(case, Path(folder)):
                    self.runs += 1
                    self.claims += found.claims
                    if found.differences:
                        report = explain(case, change, plan, runs, found.differences).replace(folder, "FOLDER")
                        if stop:
                            raise Differ(report)
                        self.keep(found.differences, report)
                        return
            except SpecError:
                self.invalid += 1
                assume(False)

    def keep(self, differences: list[str], report: str) -> None:
        """Count the differences by kind: what is said without the names of scenarios and steps."""
        for difference in differences:
            kind = re.sub(NAMES, "…", difference.partition(": ")[2])[:110]
            self.kinds[kind] += 1
            if len(report) < len(self.shortest.get(kind, report + " ")):
                self.shortest[kind] = report

    def summarize(self, seconds: float) -> str:
        claims = ", ".join(f"{count} {claim}" for claim, count in self.claims.most_common())
        return (
            f"{self.examples} examples in {seconds:.0f} s, {self.runs} runs, {self.invalid} specs that are not valid; "
            f"{self.kinds.total()} differences\nclaims that were compared: {claims}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--timeouts", action="store_true", help="some steps run in processes of their own, which is slow"
    )
    parser.add_argument("--all", action="store_true", help="count all differences instead of shrinking the first")
    asked = parser.parse_args()
    campaign, start = Campaign(), time.monotonic()
    phases = [Phase.generate] if asked.all else [Phase.generate, Phase.shrink]

    @seed(asked.seed)
    @settings(
        max_examples=asked.examples,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(timeouts=asked.timeouts))
    def search(case: Case) -> None:
        campaign.compare(case, stop=not asked.all)

    found = ""
    try:
        search()
    except Differ as differ:
        found = str(differ)
    for kind, count in campaign.kinds.most_common():
        print(f"{count} times: {kind}\n{campaign.shortest[kind]}\n")
    print(found)
    print(campaign.summarize(time.monotonic() - start))
    return bool(found or campaign.kinds)


if __name__ == "__main__":
    sys.exit(main())
