"""The instants of a cron expression: against a twin that looks at every minute, and against cronsim over a year."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
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
    while (moment := times.next_after(moment)) is not None and moment <= until:  # type: ignore[assignment]
        found.append(moment)
    return found


def list_times_back(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    times, found, moment = CronTimes(cron, ZoneInfo(zone)), [], until
    while (moment := times.last_until(moment)) is not None and moment > after:  # type: ignore[assignment]
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
@settings(max_examples=2000, deadline=None)
def test_times_in_many_nights_of_a_clock_change_equal_those_found_minute_by_minute(
    cron: str, change: tuple[str, datetime], begin: int, length: int
) -> None:
    check_against_twin(cron, change, begin, length)
