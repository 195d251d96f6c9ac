"""What becomes of fires whose runs have ended, and how the end of a process is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.service.runs.exit_causes import count_memory_kills, describe_process_end
from engine.service.runs.fire_states import SERVER_ENDED, conclude_fire, postpone_fire
from engine.spec import ProjectSpec, load
from engine.store import Event, Fire, FireState, RunRecord

NOW = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)
RUN = RunRecord("20261128-023000-000000-7f3a9c1b", "p", "s", NOW, "ada@web1", ended=NOW)
DIED = Event("run", "error", "run x was aborted: its process has died", NOW)
TIMEOUT = Event("run", "error", "this run took longer than its timeout of 2 s", NOW)

SPEC = """
version: 1
project: p
scenarios:
  s:
    triggers:
      - {name: last, kind: cron, cron: 30 2 * * *}
      - {name: none, kind: cron, cron: 40 2 * * *, catch_up: none}
    steps: [{name: n, kind: python, function: "mine:f"}]
"""


@pytest.fixture
def project(tmp_path: Path) -> ProjectSpec:
    (tmp_path / "s.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text("def f(): ...\n")
    return load(tmp_path / "s.yaml")


def make_fire(trigger: str = "last", reason: str = "", attempt: int = 1) -> Fire:
    state = FireState.RUNNING
    return Fire("s", trigger, "cron:1", NOW, NOW, state=state, run=RUN.id, reason=reason, attempt=attempt, number=1)


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILED])
def test_a_run_that_has_ended_is_done_whatever_was_asked_meanwhile(project: ProjectSpec, outcome: Outcome) -> None:
    changes = conclude_fire(make_fire(reason=SERVER_ENDED), replace(RUN, outcome=outcome), project)
    assert (changes["state"], changes["reason"]) == (FireState.DONE, "")


@pytest.mark.parametrize(
    ("fire", "events", "again"),
    [
        (make_fire(), (DIED,), True),
        (make_fire(reason=SERVER_ENDED), (), True),
        (make_fire(reason=SERVER_ENDED), (DIED,), True),
        (make_fire("gone"), (DIED,), True),
        (make_fire("none"), (DIED,), False),
        (make_fire(attempt=2), (DIED,), False),
        (make_fire(reason="its process was killed by signal 9"), (DIED,), False),
        (make_fire(reason="aborted by ada"), (), False),
        (make_fire(), (TIMEOUT,), False),
    ],
)
def test_only_a_run_that_the_end_of_the_server_has_interrupted_is_repeated(
    project: ProjectSpec, fire: Fire, events: tuple[Event, ...], again: bool
) -> None:
    changes = conclude_fire(fire, replace(RUN, outcome=Outcome.ABORTED, events=events), project)
    if again:
        assert (changes["state"], changes["run"], changes["attempt"]) == (FireState.WAITING, None, 2)
    else:
        assert changes["state"] is FireState.DONE
        assert changes["reason"]


def test_a_busy_scenario_is_tried_after_one_second_then_more_rarely_up_to_a_minute() -> None:
    waits = [postpone_fire(NOW, tries, "busy")["next_try"] - NOW for tries in range(8)]
    assert waits[:3] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("table", "file", "text", "count"),
    [
        ("4:memory:/a/b\n0::/\n", "memory/a/b/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3),
        ("0::/system.slice/x\n", "system.slice/x/memory.events", "low 0\noom 2\noom_kill 2\n", 2),
        ("0::/gone\n", "memory.events", "oom_kill 5\n", 5),
        ("0::/\n", "other", "", None),
    ],
)
def test_kills_for_want_of_memory_are_counted_by_both_kinds_of_control_groups(
    tmp_path: Path, table: str, file: str, text: str, count: int | None
) -> None:
    (tmp_path / "table").write_text(table)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert count_memory_kills(tmp_path / "table", tmp_path) == count


def test_the_end_of_a_process_is_reported_with_what_caused_it() -> None:
    assert describe_process_end(3, memory_killed=False) == "its process ended with exit code 3"
    assert "out of memory" in describe_process_end(-9, memory_killed=True)
    assert "out of memory" in describe_process_end(-9, memory_killed=False)  # as what may have been the cause
    assert describe_process_end(-9, memory_killed=True) != describe_process_end(-9, memory_killed=False)
    assert "signal 11" in describe_process_end(-11, memory_killed=True)
    assert "memory" not in describe_process_end(-11, memory_killed=True)
