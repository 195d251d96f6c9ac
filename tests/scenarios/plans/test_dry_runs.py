"""A plan and a dry run change nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.outcome import ExitCode
from engine.scenarios import session
from engine.spec import load
from engine.store import Store

from .planned_project import ENVIRON, planned, spec


@pytest.fixture
def unchanged(folder: Path) -> Iterator[None]:
    def content() -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = content()
    yield
    assert content() == before


@pytest.mark.usefixtures("unchanged")
def test_a_plan_changes_nothing(folder: Path) -> None:
    assert planned(folder, oldest=30).exit_code is ExitCode.OK


@pytest.mark.usefixtures("unchanged")
def test_a_dry_run_shows_everything_and_changes_nothing(folder: Path) -> None:
    project = load(folder / "project.yaml", {"oldest": 30, "name": "dry"}, environ={})
    said: list[str] = []
    finished = session.run_scenarios(project, ["all"], environ=ENVIRON, preview=said.append, dry=True)
    (result,) = finished.runs
    assert [made.name for step in result.steps for made in step.evaluations] == ["dry"]
    assert result.steps[0].metrics["data_drift"] is not None
    assert [evaluation.name for evaluation in finished.stores["watched"].evaluations] == ["first", "dry"]
    assert "tell" in said[0]


NO_EFFECT = """
  effects:
    steps:
      - {name: calls, kind: python, function: "mine:leave"}
      - {name: calls in a process, kind: python, function: "mine:leave", timeout: 60s}
      - {name: builds in a process, kind: build, target: watched, mode: force, timeout: 60s}
"""


def test_a_dry_run_sends_nothing_even_if_nobody_asks_to_see_it(folder: Path) -> None:
    spec(", run_condition: \"outcome != 'SUCCESS'\"", "")(folder)
    project = load(folder / "project.yaml", environ={})
    (result,) = session.run_scenarios(project, ["all"], environ=ENVIRON, dry=True).runs
    assert result.deliveries == []
    assert not (folder / "outbox").exists()


@pytest.mark.slow
def test_a_dry_run_calls_no_steps_that_may_change_anything(folder: Path) -> None:
    path = folder / "project.yaml"
    path.write_text(path.read_text() + NO_EFFECT)
    with (folder / "mine.py").open("a") as module:
        module.write("\ndef leave():\n    open(__file__ + '.trace', 'w').close()\n")
    project = load(path, environ={})
    previews: list[str] = []
    (result,) = session.run_scenarios(project, ["effects"], environ=ENVIRON, preview=previews.append, dry=True).runs
    assert [str(step.outcome) for step in result.steps] == ["SKIPPED", "SKIPPED", "SUCCESS"]
    assert not list(folder.glob("*.trace"))
    with Store.open(folder / ".engine" / "test") as state:
        assert len(state.evaluations.history("watched")) == 1
