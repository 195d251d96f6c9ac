"""What the ticks of a scheduler find due, and what becomes of what it has missed."""

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest

from engine.service.triggers.schedule import list_next_times, next_time
from engine.store import Pause

NIGHT = "{name: nightly, kind: cron, cron: 30 2 * * *, variables: {day: '${as_of}', more: '${previous_as_of_time}'}}"
HOURLY = "{name: hourly, kind: cron, cron: 0 * * * *}"


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


def states_of(fires) -> str:
    return " ".join(one.state for one in fires)


def test_a_time_fires_once_when_it_has_come_with_the_values_of_its_moment(make_project, ticking) -> None:
    ticks = ticking(make_project(s=[NIGHT]), at(28, 2, 29))
    assert ticks.tick(at(28, 2, 29, 59)) == []
    (fire,) = ticks.tick(at(28, 2, 30))
    assert (fire.key, fire.scheduled, fire.state, fire.reason) == ("cron:1795833000", at(28, 2, 30), "WAITING", "")
    assert fire.values == {"day": "2026-11-28", "more": "2026-11-27T02:30:00"}
    assert ticks.tick(at(28, 2, 30, 1)) == []


def test_values_are_those_of_the_zone_of_the_trigger_and_not_of_the_project(make_project, ticking) -> None:
    there = NIGHT.replace("kind: cron", "kind: cron, timezone: Pacific/Auckland")
    ticks = ticking(make_project("America/New_York", s=[there]), at(27))
    (fire,) = ticks.tick(at(27, 13, 31))
    assert fire.scheduled == at(27, 13, 30)
    assert fire.values == {"day": "2026-11-28", "more": "2026-11-27T02:30:00"}


def test_a_time_that_is_seen_late_but_within_the_grace_counts_as_in_time(make_project, ticking) -> None:
    ticks = ticking(make_project(s=["{name: t, kind: cron, cron: 30 2 * * *, catch_up: none}"]), at(28))
    (fire,) = ticks.tick(at(28, 2, 35))
    assert fire.state == "WAITING"
    ticks = ticking(make_project(s=["{name: t, kind: cron, cron: 30 2 * * *, catch_up: none}"]), at(28))
    (fire,) = ticks.tick(at(28, 2, 35, 1))
    assert fire.state == "SKIPPED"
    assert fire.reason == "missed: was due 2026-11-28 02:30 UTC, seen 5 min 1 s later; catch_up is none"


def test_the_last_of_several_missed_nights_is_made_up_for_and_the_others_say_why_not(make_project, ticking) -> None:
    ticks = ticking(make_project("Europe/Berlin", s=[NIGHT]), at(24))
    fires = ticks.tick(at(28, 9))
    assert states_of(fires) == "SKIPPED SKIPPED SKIPPED SKIPPED WAITING"
    assert fires[-1].values["day"] == "2026-11-28"
    assert fires[-1].reason == "caught up: was due 2026-11-28 02:30 Europe/Berlin, seen 7 h 30 min later"
    assert fires[0].reason == (
        "missed: was due 2026-11-24 02:30 Europe/Berlin, seen 4 days later; of the missed times of the scenario only "
        "the last is caught up"
    )


def test_the_last_missed_is_that_of_the_scenario_over_its_triggers(make_project, ticking) -> None:
    ticks = ticking(make_project(s=[NIGHT, HOURLY], other=[NIGHT]), at(28))
    fires = ticks.tick(at(28, 5, 30))
    run = [(one.scenario, one.trigger, one.scheduled.hour) for one in fires if one.state == "WAITING"]
    assert run == [("other", "nightly", 2), ("s", "hourly", 5)]
    assert {one.state for one in fires if one not in run} == {"SKIPPED", "WAITING"}
    assert len(fires) == 7


def test_missed_fires_that_are_all_made_up_for_run_oldest_first_each_with_its_own_day(make_project, ticking) -> None:
    ticks = ticking(make_project(s=[NIGHT.replace("kind", "catch_up: all, kind")]), at(24, 12))
    fires = ticks.tick(at(28, 9))
    assert states_of(fires) == "WAITING WAITING WAITING WAITING"
    assert [one.values["day"] for one in fires] == ["2026-11-25", "2026-11-26", "2026-11-27", "2026-11-28"]


def test_at_most_a_hundred_fires_are_made_up_for_and_a_hundred_others_are_reported_one_by_one(
    make_project, ticking
) -> None:
    every = "{name: t, kind: interval, every: 1m, catch_up: all}"
    ticks = ticking(make_project(s=[every]), at(28))
    fires = ticks.tick(at(28, 5, 0, 30))
    missed = [one for one in fires if one.scheduled < at(28, 4, 55, 30)]
    assert states_of(missed) == " ".join(["SKIPPED"] * 100 + ["WAITING"] * 100)
    assert missed[0].scheduled == at(28, 1, 36)
    assert missed[0].reason.endswith("only the newest 100 missed times are caught up; 95 earlier times were missed too")
    assert "earlier" not in missed[1].reason


@pytest.mark.parametrize(
    ("trigger", "total"),
    [("cron: '* * * * *', kind: cron", 1_578_240), ("every: 1s, kind: interval", 94_694_400)],
)
def test_a_trigger_that_is_seen_again_after_three_years_is_decided_quickly(
    make_project, ticking, trigger: str, total: int
) -> None:
    ticks = ticking(make_project("Europe/Berlin", s=[f"{{name: t, {trigger}, grace: 1s}}"]), at(28, 2, 0, 30))
    now = at(28, 2, 0, 30).replace(year=2029)
    begun = process_time()
    fires = ticks.tick(now)
    assert process_time() - begun < 5  # each of the times at 10 µs would take longer
    missed = [one for one in fires if one.state == "SKIPPED"]
    run = len(fires) - len(missed)
    assert len(missed) == 100
    assert missed[0].reason.endswith(f"; {total - 100 - run:,} earlier times were missed too")


def test_a_long_pause_of_the_loop_does_not_fill_the_queue_with_an_interval_of_a_second(make_project, ticking) -> None:
    ticks = ticking(make_project(s=["{name: t, kind: interval, every: 1s}"]), at(28))
    fires = ticks.tick(at(28, 0, 4))
    assert states_of(fires) == " ".join(["SKIPPED"] * 100 + ["WAITING"] * 100)
    assert fires[0].reason == (
        "queue full: 100 later times of the trigger wait already; 40 earlier times were missed too"
    )


def test_an_interval_of_a_second_is_due_at_every_tick_of_a_second(make_project, ticking) -> None:
    ticks = ticking(make_project(s=["{name: t, kind: interval, every: 1s}"]), at(28))
    keys = [one.key for n in range(1, 10) for one in ticks.tick(at(28, 0, 0, n))]
    assert keys == [f"interval:{int(at(28).timestamp()) + n}" for n in range(1, 10)]


def test_what_was_due_in_a_pause_is_skipped_and_says_who_paused_it(make_project, ticking) -> None:
    ticks = ticking(make_project("Europe/Berlin", s=[NIGHT], other=[NIGHT]), at(24))
    ticks.pauses = [Pause("s", at(27, 12), "anna@host", "new data", created=at(25, 12))]
    fires = [one for one in ticks.tick(at(28)) if one.scenario == "s"]
    assert states_of(fires) == "SKIPPED SKIPPED SKIPPED SKIPPED"
    assert fires[1].reason == (
        "missed: was due 2026-11-25 02:30 Europe/Berlin, seen 70 h 30 min later, and anna@host has paused the scenario "
        "since"
    )
    assert fires[2].reason == "paused by anna@host at 2026-11-25 13:00 Europe/Berlin: new data"
    assert [one.state for one in ticks.tick(at(28, 2)) if one.scenario == "s"] == ["WAITING"]
    assert ticks.fires[("other", "nightly", fires[3].key)].state == "WAITING"


def test_a_pause_that_was_ended_early_puts_aside_what_was_due_until_then(make_project, ticking) -> None:
    ticks = ticking(make_project(s=[HOURLY]), at(28))
    ticks.pauses = [Pause("s", None, "anna@host", "", at(28, 1, 30), at(28, 3, 30), "anna@host")]
    fires = ticks.tick(at(28, 4, 1))
    assert states_of(fires) == "SKIPPED SKIPPED SKIPPED WAITING"
    assert fires[-1].scheduled == at(28, 4)


def test_a_pause_holds_after_the_clock_was_set_back_before_it_and_one_that_has_ended_does_not(
    make_project, ticking
) -> None:
    ticks = ticking(make_project(s=[HOURLY]), at(28, 1, 30))
    ticks.pauses = [Pause("s", None, "anna@host", "", at(28, 3, 30), at(28, 3, 40), "anna@host")]
    assert states_of(ticks.tick(at(28, 2))) == "WAITING"
    ticks.pauses = [Pause("s", at(28, 5), "anna@host", "", at(28, 3, 30))]
    assert states_of(ticks.tick(at(28, 3))) == "SKIPPED"


def test_after_the_clock_was_set_back_nothing_comes_twice_and_nothing_is_waited_for(make_project, ticking) -> None:
    ticks = ticking(make_project(s=[HOURLY, "{name: grid, kind: interval, every: 20m}"]), at(28))
    before = [ticks.tick(at(28, 0) + n * timedelta(minutes=1)) for n in range(1, 121)]
    assert sum(map(len, before)) == 2 + 6
    ticks.reconcile(at(28, 0, 30))
    again = [ticks.tick(at(28, 0, 30) + n * timedelta(minutes=1)) for n in range(1, 91)]
    assert sum(map(len, again)) == 0
    assert {one.trigger for one in ticks.tick(at(28, 3))} == {"hourly", "grid"}


def test_after_a_clock_that_was_years_ahead_is_set_right_an_interval_goes_on(make_project, ticking) -> None:
    project = make_project(s=["{name: grid, kind: interval, every: 20m}", HOURLY])
    ahead = at(28).replace(year=2033)
    ticks = ticking(project, ahead)
    ticks.reconcile(at(28))
    assert [(one.trigger, one.scheduled) for one in ticks.tick(at(28, 1))][-1] == ("hourly", at(28, 1))
    assert [one.trigger for one in ticks.fires.values()].count("grid") == 3


def test_the_next_times_are_those_that_will_fire(make_project, ticking) -> None:
    project = make_project(s=[NIGHT, "{name: off, active: false, kind: cron, cron: 0 * * * *}",
                              "{name: grid, kind: interval, every: 7h}"])  # fmt: skip
    ticks = ticking(project, at(28))
    grid = ticks.states["s", "grid"]
    listed = list_next_times(project, "s", "grid", grid, at(28, 1), 3)
    assert listed == [at(28, 7), at(28, 14), at(28, 21)]
    assert next_time(project, "s", "nightly", None, at(28, 2, 30)) == at(29, 2, 30)
    assert next_time(project, "s", "off", None, at(28)) is None
    assert next_time(project, "s", "grid", None, at(28)) == at(28, 7)
    fired = [one for n in range(24 * 6) for one in ticks.tick(at(28) + n * timedelta(minutes=10))]
    assert [one.scheduled for one in fired if one.trigger == "grid"] == listed


def test_a_fire_whose_variables_cannot_be_filled_in_is_skipped_with_the_reason(make_project, ticking) -> None:
    text = "{name: t, kind: cron, cron: 0 * * * *, variables: {day: '${as_of - 730000d}'}}"
    ticks = ticking(make_project(s=[text]), at(28).replace(year=1990))
    (fire,) = ticks.tick(at(28, 1).replace(year=1990))
    assert fire.state == "SKIPPED"
    assert fire.reason == ("its variables cannot be filled in: there is no date 730000 days away from 1990-11-28")


def test_the_next_times_of_a_thousand_scenarios_are_cheap_enough_to_be_asked_at_each_reload(
    make_project, ticking
) -> None:
    scenarios = {f"s{n}": [f"{{name: a, kind: cron, cron: '{n % 60} {n % 24} * * *', timezone: Europe/Berlin}}",
                           f"{{name: b, kind: interval, every: {n + 1}m}}"] for n in range(1000)}  # fmt: skip
    project = make_project(**scenarios)
    ticks = ticking(project, at(28))
    begun = process_time()
    found = [next_time(project, *name, state, at(28)) for name, state in ticks.states.items()]
    assert process_time() - begun < 2
    assert len(found) == 2000
    assert all(moment > at(28) for moment in found)
