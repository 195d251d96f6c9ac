"""Triggers that follow another scenario."""

from datetime import UTC, datetime

from engine.outcome import Outcome
from engine.service.triggers.scenario_finished import LONGEST_CHAIN, find_finished, measure_chain
from engine.service.triggers.trigger_states import reconcile_states
from engine.store import Fire, RunEnd

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AFTER = (
    "{name: after, kind: scenario_finished, scenario: other, variables: {day: '${as_of}', more: '${previous_as_of}'}}"
)


def end(number: int, scenario: str = "other", outcome: Outcome = Outcome.SUCCESS, day: int = 28) -> RunEnd:
    return RunEnd(number, f"run-{number}", scenario, outcome, NOW.replace(day=day))


def test_each_end_with_an_outcome_that_counts_fires_once_and_stands_for_the_moment_of_that_run(make_project) -> None:
    project = make_project(s=[AFTER], other=[])
    (state,) = reconcile_states(project, [], NOW, newest_end=3)
    ends = [
        end(3),
        end(4, day=26),
        end(5, "s"),
        end(6, outcome=Outcome.FAILED),
        end(7, outcome=Outcome.WARNING, day=27),
    ]
    after, fires = find_finished(project, "s", "after", state, ends, NOW)
    assert [(one.key, one.scheduled.day) for one in fires] == [("run:run-4", 26), ("run:run-7", 27)]
    assert [dict(one.values) for one in fires] == [
        {"day": "2026-11-26", "more": "2026-11-26"},
        {"day": "2026-11-27", "more": "2026-11-26"},
    ]
    assert after.seen["run_end"] == 7
    assert find_finished(project, "s", "after", after, ends, NOW) == (after, [])
    _, later = find_finished(project, "s", "after", after, [end(8)], NOW)
    assert later[0].values["more"] == "2026-11-27"


def test_ends_that_do_not_count_are_seen_as_well_so_they_are_read_once(make_project) -> None:
    project = make_project(s=[AFTER], other=[])
    (state,) = reconcile_states(project, [], NOW, newest_end=0)
    after, fires = find_finished(project, "s", "after", state, [end(1, "s"), end(2, "s")], NOW)
    assert (after.seen["run_end"], fires) == (2, [])


def test_the_end_of_a_run_that_is_not_kept_any_more_counts_as_now(make_project) -> None:
    project = make_project(s=[AFTER], other=[])
    (state,) = reconcile_states(project, [], NOW, newest_end=0)
    _, (fire,) = find_finished(project, "s", "after", state, [RunEnd(1, "r", "other", Outcome.SUCCESS)], NOW)
    assert fire.scheduled == NOW


def test_a_chain_of_runs_is_measured_and_too_long_a_one_is_known_without_following_it_to_its_end() -> None:
    made = {f"run-{n}": Fire("s", "t", f"run:run-{n - 1}", NOW, NOW) for n in range(1, 100)}
    made["run-0"] = Fire("s", "t", "cron:1", NOW, NOW)
    asked = []

    def find(run: str) -> Fire | None:
        asked.append(run)
        return made.get(run)

    assert measure_chain(made["run-0"], find) == 0
    assert measure_chain(made["run-3"], find) == 3
    assert measure_chain(Fire("s", "t", "run:by-hand", NOW, NOW), find) == 1
    asked.clear()
    assert measure_chain(made["run-99"], find) == LONGEST_CHAIN + 1
    assert len(asked) == LONGEST_CHAIN + 1
