"""What the ticks of a scheduler find due, and what becomes of what it has missed."""

from datetime import UTC, datetime

from engine.store.records import FireState

NIGHT = "{name: nightly, kind: cron, cron: 30 2 * * *, variables: {day: '${as_of}', more: '${previous_as_of_time}'}}"


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


def test_a_time_fires_once_when_it_has_come_with_the_values_of_its_moment(make_project, ticking) -> None:
    ticks = ticking(make_project(s=[NIGHT]), at(28, 2, 29))
    assert ticks.tick(at(28, 2, 29, 59)) == []
    (fire,) = ticks.tick(at(28, 2, 30))
    assert (fire.key, fire.scheduled, fire.state) == ("cron:1795833000", at(28, 2, 30), FireState.WAITING)
    assert fire.values == {"day": "2026-11-28", "more": "2026-11-27T02:30:00"}
    assert ticks.tick(at(28, 2, 30, 1)) == []


def test_of_missed_nights_the_last_is_made_up_for_with_its_own_day_and_the_others_say_why_not(
    make_project, ticking
) -> None:
    ticks = ticking(make_project("Europe/Berlin", s=[NIGHT]), at(24))
    fires = ticks.tick(at(28, 9))
    assert [one.state for one in fires] == ["SKIPPED"] * 4 + ["WAITING"]
    assert fires[-1].values["day"] == "2026-11-28"
    assert fires[-1].reason == "made up for: was due 2026-11-28 02:30 Europe/Berlin, seen 7 h 30 min later"
    assert fires[0].reason == (
        "missed: was due 2026-11-24 02:30 Europe/Berlin, seen 4 days later; of the missed times of the scenario only "
        "the last is made up for"
    )
