"""The instants of a cron expression: against a twin that looks at every minute, and against cronsim over a year."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.service.triggers.cron import CronTimes

ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Chatham",  # at 2:45
    "America/Havana",  # at midnight
    "Pacific/Auckland",
)
MINUTE = timedelta(minutes=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def read_field(text: str, low: int, high: int) -> set[int]:
    """Return the numbers of a field of a crontab: *, 5, 1-5, */10, 1-30/7, and lists of these."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        begin, _, end = (f"{low}-{high}" if span == "*" else span).partition("-")
        last = int(end) if end else high if step else int(begin)
        found |= set(range(int(begin), last + 1, int(step or 1)))
    return found


def matches(cron: str, wall: datetime) -> bool:
    """Return whether a time that clocks show is one of a crontab line."""
    texts = cron.split()
    minutes, hours, days, months, weekdays = (read_field(t, *r) for t, r in zip(texts, RANGES, strict=True))
    day, weekday = wall.day in days, bool({wall.isoweekday(), wall.isoweekday() % 7} & weekdays)
    both = texts[2].startswith("*") or texts[4].startswith("*")
    fits = (day and weekday) if both else (day or weekday)
    return wall.minute in minutes and wall.hour in hours and wall.month in months and fits


def walk_cron(cron: str, zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the instants at which Debian's cron starts a job, looking at the clocks of a zone every minute.

    A job with a star goes by what they show. Another one is started for every minute that they have come past, also
    for those that they have skipped, but not again for those that they show a second time.
    """
    place = ZoneInfo(zone)
    fixed = not any(field.startswith("*") for field in cron.split()[:2])
    now = after.replace(second=0, microsecond=0) - timedelta(days=1)
    furthest = now.astimezone(place).replace(tzinfo=None)
    while now < until:
        now += MINUTE
        wall = now.astimezone(place).replace(tzinfo=None)
        passed = [wall]
        if fixed:
            passed = [furthest + n * MINUTE for n in range(1, int((wall - furthest) / MINUTE) + 1)]
            furthest = max(furthest, wall)
        if after < now <= until and any(matches(cron, one) for one in passed):
            yield now


def find_changes(zone: str, year: int) -> list[datetime]:
    """Return the hours of a year in which the clocks of a zone are changed."""
    place, hours = ZoneInfo(zone), [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(8760)]
    offsets = [one.astimezone(place).utcoffset() for one in hours]
    return [hours[n] for n in range(1, len(hours)) if offsets[n] != offsets[n - 1]]


def list_times(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    times, found, moment = CronTimes(cron, ZoneInfo(zone)), [], after
    while (moment := times.next_after(moment)) is not None and moment <= until:
        found.append(moment)
    return found


def list_times_back(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    times, found, moment = CronTimes(cron, ZoneInfo(zone)), [], until
    while (moment := times.last_until(moment)) is not None and moment > after:
        found.append(moment)
        moment -= timedelta(microseconds=1)
    return found[::-1]


def draw_field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    step = st.integers(1, high - low)
    pair = st.lists(number, min_size=2, max_size=2, unique=True)  # of 1-1/2, cronsim makes 1-31/2
    span = pair.map(lambda ends: f"{min(ends)}-{max(ends)}")
    return st.one_of(
        st.just("*"),
        number.map(str),
        step.map("*/{}".format),
        span,
        st.builds("{}/{}".format, span, step),
        st.lists(number, min_size=2, max_size=4).map(lambda some: ",".join(map(str, some))),
    )


mostly_every = st.one_of(st.just("*"), st.just("*"), st.just("*"), draw_field(1, 28))
crons = st.builds(
    "{} {} {} {} {}".format,
    draw_field(0, 59),
    st.one_of(draw_field(0, 4), draw_field(0, 23)),
    mostly_every,
    st.one_of(st.just("*"), st.just("*"), draw_field(1, 12)),
    st.one_of(st.just("*"), st.just("*"), draw_field(0, 7)),
)
CHANGES = [(zone, hour) for zone in ZONES for year in (2025, 2026) for hour in find_changes(zone, year)]


def check_against_twin(cron: str, change: tuple[str, datetime], begin: int, length: int) -> None:
    zone, hour = change
    after = hour + timedelta(seconds=begin)
    until = after + timedelta(seconds=length)
    expected = list(walk_cron(cron, zone, after, until))
    assert list_times(cron, zone, after, until) == expected
    assert list_times_back(cron, zone, after, until) == expected
    assert CronTimes(cron, ZoneInfo(zone)).count(after, until) == len(expected)


nights = (crons, st.sampled_from(CHANGES), st.integers(-20_000, 10_000), st.integers(0, 20_000))


@given(*nights)
@settings(max_examples=60, deadline=None)
def test_times_in_nights_of_a_clock_change_equal_those_found_minute_by_minute(
    cron: str, change: tuple[str, datetime], begin: int, length: int
) -> None:
    check_against_twin(cron, change, begin, length)


@pytest.mark.slow
@given(*nights)
@settings(max_examples=600, deadline=None)
def test_times_in_many_nights_of_a_clock_change_equal_those_found_minute_by_minute(
    cron: str, change: tuple[str, datetime], begin: int, length: int
) -> None:
    check_against_twin(cron, change, begin, length)


NIGHTS = [
    # clocks set forwards: a fixed time is run right after the gap, a star goes by what the clocks show
    ("America/New_York", (2026, 3, 8), "30 2 * * *", "03:00-0400"),
    ("America/New_York", (2026, 3, 8), "*/30 2 * * *", ""),
    ("America/New_York", (2026, 3, 8), "20 * * * *", "00:20-0500 01:20-0500 03:20-0400"),
    ("Europe/Berlin", (2026, 3, 29), "0 2,3 * * *", "03:00+0200"),
    ("Europe/Berlin", (2026, 3, 29), "15,45 2,3 * * *", "03:00+0200 03:15+0200 03:45+0200"),
    ("Europe/Berlin", (2026, 3, 29), "5 * * * *", "00:05+0100 01:05+0100 03:05+0200"),
    ("Australia/Lord_Howe", (2026, 10, 4), "15 2 * * *", "02:30+1100"),
    ("Australia/Lord_Howe", (2026, 10, 4), "*/15 2 * * *", "02:30+1100 02:45+1100"),
    ("Australia/Lord_Howe", (2026, 10, 4), "*/20 3 * * *", "03:00+1100 03:20+1100 03:40+1100"),
    ("Pacific/Chatham", (2026, 9, 27), "0 3 * * *", "03:45+1345"),
    ("Pacific/Chatham", (2026, 9, 27), "*/15 3 * * *", "03:45+1345"),
    ("America/Havana", (2026, 3, 8), "0 0 * * *", "01:00-0400"),
    ("America/Havana", (2026, 3, 8), "*/30 0 * * *", ""),
    ("America/Havana", (2026, 3, 8), "*/30 1 8 3 *", "01:00-0400 01:30-0400"),
    ("Pacific/Auckland", (2026, 9, 27), "30 2 * * *", "03:00+1300"),
    # clocks set back: a fixed time is run at the first of its two instants, a star at both
    ("America/New_York", (2026, 11, 1), "30 1 * * *", "01:30-0400"),
    ("America/New_York", (2026, 11, 1), "*/30 1 * * *", "01:00-0400 01:30-0400 01:00-0500 01:30-0500"),
    ("Europe/Berlin", (2026, 10, 25), "30 2 * * *", "02:30+0200"),
    ("Europe/Berlin", (2026, 10, 25), "0 2,3 * * *", "02:00+0200 03:00+0100"),
    ("Australia/Lord_Howe", (2026, 4, 5), "45 1 * * *", "01:45+1100"),
    ("Australia/Lord_Howe", (2026, 4, 5), "45 * * * *", "00:45+1100 01:45+1100 01:45+1030 02:45+1030 03:45+1030"),
    ("Australia/Lord_Howe", (2026, 4, 5), "*/20 2 * * *", "02:00+1030 02:20+1030 02:40+1030"),
    ("Pacific/Chatham", (2026, 4, 5), "0 3 * * *", "03:00+1345"),
    ("Pacific/Chatham", (2026, 4, 5), "*/30 3 * * *", "03:00+1345 03:30+1345 03:00+1245 03:30+1245"),
    ("America/Havana", (2026, 11, 1), "30 0 * * *", "00:30-0400"),
    ("America/Havana", (2026, 11, 1), "*/30 0 * * *", "00:00-0400 00:30-0400 00:00-0500 00:30-0500"),
    ("Pacific/Auckland", (2026, 4, 5), "30 2 * * *", "02:30+1300"),
    ("Pacific/Auckland", (2026, 4, 5), "0 * * * *", "00:00+1300 01:00+1300 02:00+1300 02:00+1200 03:00+1200"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "night", "cron", "expected"), NIGHTS)
def test_a_night_of_a_clock_change_has_these_instants_until_four(
    zone: str, night: tuple[int, int, int], cron: str, expected: str
) -> None:
    place = ZoneInfo(zone)
    after = datetime(*night, tzinfo=place).astimezone(UTC) - timedelta(seconds=1)
    until = datetime(*night, 3, 59, tzinfo=place).astimezone(UTC)
    shown = [one.astimezone(place).strftime("%H:%M%z") for one in list_times(cron, zone, after, until)]
    assert shown == expected.split()


YEARLY = ("30 2 * * *", "0 0 1 * *", "15 3 * * 1-5", "0 12 L * *", "0 9 * * MON#2", "45 1,2,3 */2 * *", "0 2 29 2 *")
HOURLY = ("5 * * * *", "*/30 2 * * *", "*/20 */3 1 * 5")


@pytest.mark.parametrize("zone", ["UTC", *ZONES])
def test_the_times_of_a_year_are_those_that_cronsim_gives_for_the_zone(zone: str) -> None:
    after, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    whole_hours = zone not in ("Australia/Lord_Howe", "Pacific/Chatham", "America/Havana")  # else it loses some
    for cron in YEARLY + (HOURLY if whole_hours else ()):
        expected, times = [], CronSim(cron, after.astimezone(ZoneInfo(zone)))
        while (moment := next(times).astimezone(UTC)) <= until:
            expected.append(moment)
        assert list_times(cron, zone, after, until) == expected, cron
        assert list_times_back(cron, zone, after, until) == expected, cron
        assert CronTimes(cron, ZoneInfo(zone)).count(after, until) == len(expected), cron


def test_three_years_of_every_minute_are_counted_without_looking_at_each() -> None:
    times = CronTimes("* * * * *", ZoneInfo("America/New_York"))
    after, until = datetime(2023, 11, 28, 7, 0, 30, tzinfo=UTC), datetime(2026, 11, 28, 9, 2, 30, tzinfo=UTC)
    assert times.count(after, until) == (until - after) // timedelta(minutes=1)


def test_between_the_two_passes_of_an_hour_the_newest_time_is_that_of_the_first_pass() -> None:
    times = CronTimes("30 2 * * *", ZoneInfo("Europe/Berlin"))
    second_pass = datetime.fromisoformat("2026-10-25T02:15+01:00")
    assert times.last_until(second_pass) == datetime.fromisoformat("2026-10-25T02:30+02:00")
    assert times.next_after(second_pass) == datetime.fromisoformat("2026-10-26T02:30+01:00")


def test_a_time_that_comes_once_in_decades_is_found() -> None:
    times = CronTimes("0 0 * 2 MON#5", ZoneInfo("Europe/Berlin"))  # a 29 February that is a Monday
    assert times.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2044, 2, 28, 23, tzinfo=UTC)
    assert times.last_until(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2016, 2, 28, 23, tzinfo=UTC)
