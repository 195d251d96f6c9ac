"""What is due, together with the store that keeps it: once, whatever happens in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.service.project_triggers import ProjectTriggers
from engine.service.triggers.due_fires import find_due
from engine.service.triggers.fire_queue import arrange_queue, choose_fires
from engine.service.triggers.scenario_finished import find_finished
from engine.service.triggers.trigger_states import reconcile_states
from engine.store import FireState, RunRecord, Store

NOW = datetime(2026, 11, 28, 2, 29, tzinfo=UTC)
NIGHT = "{name: nightly, kind: cron, cron: 30 2 * * *, variables: {day: '${as_of}'}}"
AFTER = "{name: after, kind: scenario_finished, scenario: s, variables: {day: '${as_of}'}}"


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "state", now=lambda: NOW) as opened:
        yield opened


def begin(store: Store, project) -> None:
    newest = store.run_ends.newest()
    store.fires.advance(reconcile_states(project, store.fires.list_states(), NOW, newest_end=newest))


def test_a_time_that_is_found_again_because_its_state_was_lost_or_the_clock_was_set_back_is_stored_once(
    make_project, store
) -> None:
    project = make_project(s=[NIGHT])
    begin(store, project)
    before = store.fires.list_states()
    found = find_due(project, "s", before, NOW + timedelta(minutes=1))
    assert len(store.fires.advance(*found)) == 1
    assert store.fires.advance(*find_due(project, "s", before, NOW + timedelta(minutes=2))) == []
    begin(store, project)  # at 2:29 again
    assert store.fires.advance(*find_due(project, "s", store.fires.list_states(), NOW + timedelta(minutes=3))) == []
    (fire,) = store.fires.history()
    assert (fire.key, fire.state, fire.values) == ("cron:1795833000", "WAITING", {"day": "2026-11-28"})


def test_a_night_that_is_made_up_for_is_followed_by_a_run_of_its_own_day(make_project, store) -> None:
    project = make_project(s=[NIGHT], later=[AFTER])
    begin(store, project)
    now = NOW + timedelta(days=1, hours=3)
    store.fires.advance(*find_due(project, "s", store.fires.list_states(), now))
    (chosen,) = choose_fires(store.fires.list_open(), now, 5)
    run = RunRecord("r-1", "p", "s", now, "who", as_of=chosen.scheduled, fire=chosen.number)
    store.fires.change(chosen.number, state=FireState.STARTING, run=run.id)
    assert choose_fires(store.fires.list_open(), now, 5) == []
    store.runs.start(run)
    store.runs.finish(replace(run, ended=now, outcome=Outcome.SUCCESS))
    store.fires.change(chosen.number, state=FireState.DONE)
    state = next(one for one in store.fires.list_states() if one.trigger == "after")
    after, fires = find_finished(project, "later", "after", state, store.run_ends.list_after(0), now)
    (inserted,) = store.fires.advance([after], fires)
    assert (inserted.key, inserted.scheduled) == ("run:r-1", NOW + timedelta(days=1, minutes=1))
    assert inserted.values == {"day": "2026-11-29"}


def test_changes_of_the_queue_are_what_the_store_takes(make_project, store) -> None:
    project = make_project(s=["{name: t, kind: interval, every: 1m}"])
    begin(store, project)
    for minutes in (1, 2, 3):
        found = find_due(project, "s", store.fires.list_states(), NOW + timedelta(minutes=minutes))
        store.fires.advance(*found)
    store.fires.change_several({2: {"changed": ["a"], "next_try": NOW}})
    store.fires.change_several(arrange_queue(project, store.fires.list_open(), NOW))
    assert [(one.state, one.into) for one in store.fires.history()] == [
        ("COALESCED", 3),
        ("COALESCED", 3),
        ("WAITING", None),
    ]
    (left,) = store.fires.list_open()
    assert (left.changed, left.next_try) == (("a",), NOW)


def test_the_end_of_a_run_whose_fire_could_not_be_written_is_found_again(make_project, store) -> None:
    triggers = ProjectTriggers(store, make_project(s=[], later=[AFTER]), NOW)
    run = RunRecord("r-1", "p", "s", NOW, "who")
    store.runs.start(run)
    store.runs.finish(replace(run, ended=NOW, outcome=Outcome.SUCCESS))
    assert len(triggers.take_finished(NOW)[1]) == 1  # and the disk is full: nothing of it is written
    states, fires = triggers.take_finished(NOW)
    assert [fire.key for fire in fires] == ["run:r-1"]
    store.fires.advance(states, fires)
    triggers.note(states)
    assert triggers.take_finished(NOW) == ([], [])
