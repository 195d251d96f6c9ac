"""A run whose values come from a request leads out of no folder, also by what its steps make of the values."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.scenarios.process import Conversation, run_in_process
from engine.scenarios.requests import RunRequest

pytestmark = pytest.mark.slow

SPEC = """
    variables:
      place: {type: text, value: inbox}
      target: {type: text, value: none}
    datasets:
      sales: {kind: file, path: "data/${target}.csv"}
    channels: {box: {kind: file, path: told}}
    scenarios:
      nightly:
        steps:
          - {name: choose, kind: set_variables, variables: {target: "${place}"}}
          - {name: write, kind: export, dataset: sales, path: "out.csv", timeout: 60s}
        reporters:
          - {name: end, channel: box, message: "${outcome}"}
"""


@pytest.fixture
def request_run(spec: Callable[[str], Path], tmp_path: Path) -> Callable[..., Conversation]:
    (tmp_path / "data").mkdir()
    for file in (tmp_path / "data" / "inbox.csv", tmp_path.parent / "secret.csv"):
        file.write_text("a\n1\n")
    path = spec(SPEC)

    def request(place: str, confined: tuple[str, ...] = ("place",)) -> Conversation:
        asked = RunRequest(spec=path, variables={"place": place}, scenarios=("nightly",), confined=confined)
        return run_in_process(asked, os.environ, pass_on=lambda line: None)

    return request


def test_a_run_that_stays_inside_is_made(request_run: Callable[..., Conversation], tmp_path: Path) -> None:
    assert [run.outcome for run in request_run("inbox").runs] == [Outcome.SUCCESS]
    assert (tmp_path / "out.csv").read_text() == "a\n1\n"


def test_a_step_that_would_lead_out_ends_the_run_and_reads_nothing(
    request_run: Callable[..., Conversation], tmp_path: Path
) -> None:
    told = request_run("../../secret")
    (run,) = told.runs
    assert [step.outcome for step in run.steps] == [Outcome.FAILED, Outcome.SKIPPED]
    assert 'with the variable "target", the path "data/../../secret.csv" leads out of' in run.steps[0].reason
    assert run.outcome is Outcome.FAILED
    assert "FAILED" in "".join(path.read_text() for path in (tmp_path / "told").rglob("*") if path.is_file())
    assert not (tmp_path / "out.csv").exists()


def test_a_user_who_starts_a_run_by_hand_may_name_any_path_that_the_system_allows(
    request_run: Callable[..., Conversation], tmp_path: Path
) -> None:
    assert [run.outcome for run in request_run("../../secret", ()).runs] == [Outcome.SUCCESS]
    assert (tmp_path / "out.csv").exists()


def test_the_process_of_a_step_knows_which_values_come_from_a_request(
    spec: Callable[[str], Path], module: Callable[[str], None], tmp_path: Path
) -> None:
    module(
        """
        from pathlib import Path

        def move():
            here = Path(__file__).parent
            (here / "data").rmdir()
            (here / "data").mkdir()
            (here / "data" / "inbox").symlink_to(here.parent)
        """
    )
    (tmp_path / "data").mkdir()
    (tmp_path.parent / "secret.csv").write_text("a\n1\n")
    path = spec(
        """
        variables: {place: {type: text, value: other}}
        datasets: {sales: {kind: file, path: "data/${place}/secret.csv"}}
        scenarios:
          nightly:
            steps:
              - {name: move, kind: python, function: "mine:move"}
              - {name: write, kind: export, dataset: sales, path: out.csv, timeout: 60s}
        """
    )
    asked = RunRequest(spec=path, variables={"place": "inbox"}, scenarios=("nightly",), confined=("place",))
    (run,) = run_in_process(asked, os.environ, pass_on=lambda line: None).runs
    assert [step.outcome for step in run.steps] == [Outcome.SUCCESS, Outcome.FAILED]
    assert "leads out of" in run.steps[1].reason
