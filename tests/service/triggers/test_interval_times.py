"""The instants of an interval, against twins that count on the calendar and look at the clocks every minute."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from itertools import count, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.service.triggers.interval import IntervalTimes, make_interval_times

ZONES = (
    *("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"),
    *("Pacific/Chatham", "America/Havana", "Pacific/Auckland"),
)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SEEN = datetime(2026, 1, 6, 2, 30, 7, tzinfo=UTC)


def watch_clock(wall: datetime, zone: str) -> datetime:
    """Return the first instant at which the clocks of a zone show a time or a later one."""
    place, now = ZoneInfo(zone), wall.replace(tzinfo=UTC) - 16 * 60 * MINUTE
    return next(t for n in count() if (t := now + n * MINUTE).astimezone(place).replace(tzinfo=None) >= wall)


def list_times(times: IntervalTimes, after: datetime, until: datetime) -> list[datetime]:
    found = []
    while (moment := times.next_after(after)) is not None and moment <= until:
        found.append(moment)
        after = moment
    return found


def list_times_back(times: IntervalTimes, after: datetime, until: datetime) -> list[datetime]:
    found = []
    while (moment := times.last_until(until)) is not None and moment > after:
        found.append(moment)
        until = moment - timedelta(microseconds=1)
    return found[::-1]


def shift_months(wall: datetime, months: int) -> datetime:
    for _ in range(months):
        wall = wall.replace(day=1, year=wall.year + wall.month // 12, month=wall.month % 12 + 1)
    return wall


days = st.tuples(st.integers(1, 20), st.just("days"))
months = st.tuples(st.sampled_from([1, 3, 12]), st.just("months"))
FIRST_START = datetime.fromisoformat("2025-12-25")
NAMES = {1: "1mo", 3: "3mo", 12: "1y"}


@given(
    st.one_of(days, months),
    st.integers(0, 315 * 24 * 60).map(lambda minutes: FIRST_START + minutes * MINUTE),
    st.integers(0, 5),
    st.sampled_from(ZONES),
    st.integers(-40, 400),
    st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_whole_days_and_months_equal_those_counted_on_a_calendar_and_read_from_the_clocks(
    every: tuple[int, str], start: datetime, hour: int, zone: str, begin: int, length: int
) -> None:
    size, unit = every
    start = start.replace(hour=hour)
    after = start.replace(tzinfo=UTC) + begin * DAY
    until = after + length * DAY
    walls = []
    for n in range(500):
        if unit == "days":
            wall = start + n * size * DAY
        else:
            first = shift_months(start, n * size)
            wall = first.replace(day=min(start.day, monthrange(first.year, first.month)[1]))
        if wall.replace(tzinfo=UTC) > until + DAY:
            break
        walls.append(wall)
    near = [one for one in walls if after - 2 * DAY < one.replace(tzinfo=UTC) < until + 2 * DAY]
    expected = [one for wall in near if after < (one := watch_clock(wall, zone)) <= until]
    times = make_interval_times(size * DAY if unit == "days" else NAMES[size], start, SEEN, ZoneInfo(zone))
    assert list_times(times, after, until) == expected
    assert list_times_back(times, after, until) == expected
    assert times.count(after, until) == len(expected)


@given(
    st.integers(1, 200_000), st.integers(-10, 400), st.integers(0, 86_400), st.integers(0, 200), st.sampled_from(ZONES)
)
@settings(max_examples=60, deadline=None)
def test_other_distances_are_equal_times_whatever_the_clocks_do(
    seconds: int, steps: int, begin: int, length: int, zone: str
) -> None:
    every = timedelta(seconds=seconds + (seconds % 86_400 == 0))
    after = SEEN + steps * every + timedelta(seconds=begin) % every
    until = after + length * every
    grid = takewhile(lambda t: t <= until, (SEEN + n * every for n in count()))
    expected = [one for one in grid if one > after]
    times = make_interval_times(every, None, SEEN, ZoneInfo(zone))
    assert list_times(times, after, until) == expected
    assert list_times_back(times, after, until) == expected
    assert times.count(after, until) == len(expected)


NIGHTS = [
    # (zone, the first time, the distance in days, a later time, the instant of it)
    ("America/New_York", "2026-02-24T02:30", 12, "2026-03-08T02:30", "2026-03-08T03:00:00-04:00"),
    ("America/New_York", "2026-10-18T01:30", 14, "2026-11-01T01:30", "2026-11-01T01:30:00-04:00"),
    ("Europe/Berlin", "2026-03-15T02:30", 14, "2026-03-29T02:30", "2026-03-29T03:00:00+02:00"),
    ("Europe/Berlin", "2026-10-11T02:30", 14, "2026-10-25T02:30", "2026-10-25T02:30:00+02:00"),
    ("Australia/Lord_Howe", "2026-10-03T02:15", 1, "2026-10-04T02:15", "2026-10-04T02:30:00+11:00"),
    ("Australia/Lord_Howe", "2026-04-04T01:45", 1, "2026-04-05T01:45", "2026-04-05T01:45:00+11:00"),
    ("Pacific/Chatham", "2026-09-26T03:00", 1, "2026-09-27T03:00", "2026-09-27T03:45:00+13:45"),
    ("Pacific/Chatham", "2026-04-04T03:00", 1, "2026-04-05T03:00", "2026-04-05T03:00:00+13:45"),
    ("America/Havana", "2026-03-07T00:00", 1, "2026-03-08T00:00", "2026-03-08T01:00:00-04:00"),
    ("America/Havana", "2026-10-31T00:30", 1, "2026-11-01T00:30", "2026-11-01T00:30:00-04:00"),
    ("Pacific/Auckland", "2026-09-26T02:30", 1, "2026-09-27T02:30", "2026-09-27T03:00:00+13:00"),
    ("Pacific/Auckland", "2026-04-04T02:30", 1, "2026-04-05T02:30", "2026-04-05T02:30:00+13:00"),
]


@pytest.mark.parametrize(("zone", "start", "days", "later", "expected"), NIGHTS)
def test_a_night_of_a_clock_change_moves_one_time_and_not_those_after_it(
    zone: str, start: str, days: int, later: str, expected: str
) -> None:
    place = ZoneInfo(zone)
    times = make_interval_times(days * DAY, datetime.fromisoformat(start), SEEN, place)
    night = datetime.fromisoformat(later)
    instant = times.next_after((night - DAY).replace(tzinfo=place, fold=1))
    assert instant
    assert instant.astimezone(place).isoformat() == expected
    after = times.next_after(instant)
    assert after
    assert after.astimezone(place).replace(tzinfo=None) == night + days * DAY


def test_every_second_tuesday_is_one_over_a_whole_year() -> None:
    place = ZoneInfo("Europe/Berlin")
    times = make_interval_times(14 * DAY, datetime.fromisoformat("2026-01-06T02:30"), SEEN, place)
    found = list_times(times, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert len(found) == 26
    assert {one.astimezone(place).strftime("%A %H:%M") for one in found} == {"Tuesday 02:30"}


def test_a_month_that_is_too_short_has_its_last_day_and_the_next_one_the_day_that_was_written() -> None:
    times = make_interval_times("1mo", date(2026, 1, 31), SEEN, UTC)
    found = list_times(times, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    assert [(one.month, one.day) for one in found] == [(1, 31), (2, 28), (3, 31), (4, 30), (5, 31)]


def test_a_start_with_an_offset_is_that_instant_also_in_an_hour_that_comes_twice() -> None:
    second = datetime.fromisoformat("2026-10-25T02:30:00+01:00")
    times = make_interval_times(timedelta(hours=7), second, SEEN, ZoneInfo("Europe/Berlin"))
    assert times.next_after(datetime(2026, 10, 1, tzinfo=UTC)) == second
    assert times.next_after(second) == second + timedelta(hours=7)


def test_nothing_is_due_before_the_start() -> None:
    times = make_interval_times(DAY, date(2026, 12, 1), SEEN, UTC)
    assert times.next_after(SEEN) == datetime(2026, 12, 1, tzinfo=UTC)
    assert times.last_until(datetime(2026, 11, 30, tzinfo=UTC)) is None
    assert times.count(SEEN, datetime(2026, 12, 2, 12, tzinfo=UTC)) == 2


def test_an_interval_ends_with_the_calendar() -> None:
    times = make_interval_times("1y", date(2026, 1, 1), SEEN, UTC)
    assert times.next_after(datetime(9999, 6, 1, tzinfo=UTC)) is None
