"""What is known of triggers after a spec was read: nothing of the past fires because of a change of the spec."""

from datetime import UTC, datetime, timedelta

import pytest

from engine.service.triggers.trigger_states import digest_definition, reconcile_states
from engine.store import TriggerState

NOW = datetime(2026, 11, 28, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = NOW + timedelta(days=3)
NIGHT = "{name: nightly, kind: cron, cron: 30 2 * * *}"


def reconcile(project, states, now=LATER, newest_end=7) -> dict[str, TriggerState]:
    written = reconcile_states(project, states, now, newest_end=newest_end)
    return {one.trigger: one for one in written}


def test_a_new_trigger_starts_from_now(make_project) -> None:
    found = reconcile(make_project(s=[NIGHT, "{name: grid, kind: interval, every: 1h}"]), [], NOW)
    assert {one.evaluated_until for one in found.values()} == {NOW}
    assert found["nightly"].seen == {}
    assert found["grid"].seen == {"first_seen": "2026-11-28T12:00:00+00:00"}


def test_a_trigger_that_follows_a_scenario_starts_from_the_newest_end_of_a_run(make_project) -> None:
    found = reconcile(make_project(s=["{name: after, kind: scenario_finished, scenario: other}"], other=[]), [], NOW)
    assert found["after"].seen == {"run_end": 7}


def test_nothing_is_written_for_what_is_known_already(make_project) -> None:
    project = make_project(s=[NIGHT, "{name: grid, kind: interval, every: 1h}"])
    states = reconcile_states(project, [], NOW, newest_end=0)
    assert reconcile(project, states) == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("kind: cron, cron: 30 2 * * *", "kind: cron, cron: 15 2 * * *"),
        ("kind: cron, cron: 30 2 * * *", "kind: cron, cron: 30 2 * * *, timezone: Europe/Berlin"),
        ("kind: cron, cron: 30 2 * * *", "kind: interval, every: 1d"),
        ("kind: interval, every: 1h", "kind: interval, every: 2h"),
        ("kind: interval, every: 1mo", "kind: interval, every: 3mo"),
        ("kind: interval, every: 1d", "kind: interval, every: 1d, since: 2026-01-01"),
        ("kind: cron, active: false, cron: 30 2 * * *", "kind: cron, cron: 30 2 * * *"),
        ("kind: scenario_finished, scenario: other", "kind: scenario_finished, scenario: third"),
    ],
)
def test_a_trigger_whose_definition_has_changed_or_that_is_active_again_starts_from_now(
    make_project, before: str, after: str
) -> None:
    states = reconcile_states(make_project(s=[f"{{name: t, {before}}}"], other=[], third=[]), [], NOW, newest_end=1)
    found = reconcile(make_project(s=[f"{{name: t, {after}}}"], other=[], third=[]), states)
    assert found["t"].evaluated_until == LATER
    assert found["t"].seen in ({}, {"first_seen": "2026-12-01T12:00:00+00:00"}, {"run_end": 7})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("kind: cron, cron: 30 2 * * *", "kind: cron, cron: '30   2  * * *'"),
        ("kind: cron, cron: 0 0 * * MON", "kind: cron, cron: 0 0 * * mon"),
        ("kind: cron, cron: 30 2 * * *", "kind: cron, cron: 30 2 * * *, timezone: UTC"),
        ("kind: cron, cron: 30 2 * * *", "kind: cron, cron: 30 2 * * *, catch_up: all, grace: 1h"),
        ("kind: cron, cron: 30 2 * * *", "kind: cron, cron: 30 2 * * *, variables: {day: '${as_of}'}"),
        ("kind: interval, every: 1h", "kind: interval, every: 60m"),
    ],
)
def test_an_edit_that_does_not_change_when_a_trigger_is_due_keeps_missed_fires(
    make_project, before: str, after: str
) -> None:
    states = reconcile_states(make_project(s=[f"{{name: t, {before}}}"]), [], NOW, newest_end=1)
    assert reconcile(make_project(s=[f"{{name: t, {after}}}"]), states) == {}


def test_a_project_with_another_time_zone_has_other_triggers(make_project) -> None:
    states = reconcile_states(make_project(s=[NIGHT]), [], NOW, newest_end=1)
    assert reconcile(make_project("Europe/Berlin", s=[NIGHT]), states)["nightly"].evaluated_until == LATER


def test_a_renamed_trigger_is_new_and_so_is_one_that_comes_back(make_project) -> None:
    named, renamed = make_project(s=[NIGHT]), make_project(s=[NIGHT.replace("nightly", "daily")])
    states = reconcile_states(named, [], NOW, newest_end=1)
    found = reconcile(renamed, states, NOW + timedelta(days=1))
    assert (found["daily"].evaluated_until, found["nightly"].definition) == (NOW + timedelta(days=1), "")
    assert reconcile(renamed, [*found.values()], LATER) == {}
    back = reconcile(named, [*found.values()], LATER)
    assert back["nightly"].evaluated_until == LATER


def test_a_moment_in_the_future_becomes_now_because_the_clock_was_set_back(make_project) -> None:
    project = make_project(s=[NIGHT, "{name: grid, kind: interval, every: 1h}"])
    states = reconcile_states(project, [], LATER, newest_end=1)
    found = reconcile(project, states, NOW)
    assert {one.evaluated_until for one in found.values()} == {NOW}
    assert found["grid"].seen == {"first_seen": "2026-11-28T12:00:00+00:00"}


def test_the_digests_of_definitions_never_change_because_what_was_missed_would_be_lost_with_an_upgrade(
    make_project,
) -> None:
    """If this fails, the code is wrong and not the test: with other digests, each trigger of a running server counts
    as changed after an upgrade, and what was missed during the upgrade is not caught up."""
    project = make_project("Europe/Berlin", other=[], s=[
        NIGHT,
        "{name: grid, kind: interval, every: 14d, since: 2026-01-06}",
        "{name: after, kind: scenario_finished, scenario: other}",
        "{name: off, kind: cron, active: false, cron: 0 0 * * mon, timezone: UTC}",
    ])  # fmt: skip
    assert {one.name: digest_definition(project, one) for one in project.scenarios["s"].triggers} == {
        "nightly": "a83ba8c9f28205d77bc2ba083b3da590",
        "grid": "d8a737b3f436d064d019a86ccf61baa2",
        "after": "ee7112bdfda64064979375b171a7df50",
        "off": "e7a15bac9637bdc16d4b2fc71abbb562",
    }
