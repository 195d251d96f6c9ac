"""Cron expressions: what is refused is what cronsim refuses, and what is said of clock changes is what cronsim does."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.service.triggers.interval import make_interval_times
from engine.spec.times.clock_changes import describe_cron_clock_changes, describe_interval_clock_changes
from engine.spec.times.cron_texts import find_cron_problem, find_cron_surprises

ITEMS = st.text("0123456789*/-,#?LWHMONFRIJAndec", max_size=7)
FIELDS = st.one_of(st.sampled_from(["*", "*/7", "0", "1-5", "5,6", "L", "LW", "MON#2", "5L", "31", "FEB", "2"]), ITEMS)


@given(st.lists(FIELDS, max_size=7).map(" ".join))
def test_an_expression_is_refused_if_cronsim_refuses_it_or_it_never_comes(text: str) -> None:
    try:
        comes = len(text.split()) == 5 and next(CronSim(text, datetime(2000, 1, 1, tzinfo=UTC)), None) is not None
    except CronSimError:
        comes = False
    problem = find_cron_problem(text)
    assert (problem is None) == comes
    if problem is None:
        for surprise in find_cron_surprises(text):
            assert text[surprise.offset : surprise.offset + surprise.length].strip()
    else:
        assert problem.help
        assert 0 <= problem.offset <= problem.offset + problem.length <= len(text)


@given(st.text(max_size=30))
def test_any_text_has_an_answer(text: str) -> None:
    problem = find_cron_problem(text)
    assert problem is None or problem.message


@pytest.mark.parametrize("written", ["@daily", "@hourly", "0 30 2 * * *", "0 18 ? * MON-FRI *", "02:30", "@monthly"])
def test_what_is_offered_in_its_place_is_legal(written: str) -> None:
    problem = find_cron_problem(written)
    assert problem is not None
    assert problem.help is not None
    assert find_cron_problem(problem.help.split('"')[1]) is None


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Pacific/Auckland", "Asia/Tokyo")
CHANGES = {  # the days on which clocks are put forward and back, and the times that are left out or come twice
    "Europe/Berlin": ("2027-03-28", "02:00", 60, "2027-10-31", "02:00"),
    "America/New_York": ("2027-03-14", "02:00", 60, "2027-11-07", "01:00"),
    "Australia/Lord_Howe": ("2027-10-03", "02:00", 30, "2027-04-04", "01:30"),
    "America/Havana": ("2027-03-14", "00:00", 60, "2027-11-07", "00:00"),
    "Pacific/Auckland": ("2027-09-26", "02:00", 60, "2027-04-04", "02:00"),
}


def starts(cron: str, zone: ZoneInfo, day: datetime) -> list[datetime]:
    """Return the moments at which cronsim starts a cron around a day, in UTC, each once."""
    found: set[datetime] = set()
    for moment in CronSim(cron, (day - timedelta(hours=12)).replace(tzinfo=zone)):
        if moment.replace(tzinfo=None) > day + timedelta(hours=36):
            return sorted(found)
        found.add(moment.astimezone(UTC))
    return sorted(found)


@pytest.mark.parametrize("zone", ZONES)
@given(
    minute=st.sampled_from(["0", "15", "30", "45", "*/15", "*/30", "*"]),
    hour=st.sampled_from(["0", "1", "2", "3", "*", "*/2", "0-23"]),
)
def test_what_is_said_of_clock_changes_is_what_happens(zone: str, minute: str, hour: str) -> None:
    cron = f"{minute} {hour} * * *"
    told = describe_cron_clock_changes(cron, ZoneInfo(zone), 2027)
    if hour.startswith("*") or zone not in CHANGES:
        assert told is None
        return
    forward, left_out, minutes, back, twice = CHANGES[zone]
    start, second = (datetime.fromisoformat(f"{day} {at}") for day, at in ((forward, left_out), (back, twice)))
    within = [f"{start + timedelta(minutes=i):%H:%M}" for i in range(minutes)]
    usual = [
        f"{one.astimezone(UTC):%H:%M}" for one in starts(cron, ZoneInfo("UTC"), datetime.fromisoformat("2027-06-10"))
    ]
    missing = [one for one in usual if one in within]
    assert ("on a day without" in (told or "")) == bool(missing)
    if missing:
        assert told is not None
        end = (start + timedelta(minutes=minutes)).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        moved = end in starts(cron, ZoneInfo(zone), start)
        if "does not start then" in told:
            assert minute.startswith("*")
            assert not moved or f"{start + timedelta(minutes=minutes):%H:%M}" in usual
        else:
            assert f"it starts at {start + timedelta(minutes=minutes):%H:%M}" in told
            assert moved
    repeated = [one for one in usual if one in [f"{second + timedelta(minutes=i):%H:%M}" for i in range(minutes)]]
    assert ("twice it starts" in (told or "")) == bool(repeated)
    if repeated:
        assert told is not None
        local = [one.astimezone(ZoneInfo(zone)) for one in starts(cron, ZoneInfo(zone), second)]
        count = sum(f"{one:%Y-%m-%d %H:%M}" == f"{back} {repeated[0]}" for one in local)
        assert count == (2 if "twice it starts both times" in told else 1)


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=20, deadline=None)
@given(
    every=st.sampled_from([timedelta(days=1), timedelta(days=7), timedelta(days=14), "1mo", "3mo"]),
    day=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    at=st.times(time(0), time(3, 59)).map(lambda it: it.replace(second=0, microsecond=0)),
)
def test_what_is_said_of_an_interval_is_what_happens(zone: str, every: timedelta | str, day: date, at: time) -> None:
    since = datetime.combine(day, at)
    told = describe_interval_clock_changes(since, every, ZoneInfo(zone), 2027) or ""
    times = make_interval_times(every, since, datetime(2027, 1, 1, tzinfo=UTC), ZoneInfo(zone))
    moved, twice = set(), False
    due = times.next_after(datetime(2027, 1, 1, tzinfo=UTC))
    while due is not None and due.year < 2037:
        shown = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if shown.time() != since.time():
            moved.add(f"on a day without {since:%H:%M} it starts at {shown:%H:%M}")
        twice |= shown.replace(fold=1, tzinfo=ZoneInfo(zone)).astimezone(UTC) > due
        due = times.next_after(due)
    assert ("without" in told) == bool(moved)
    assert not moved or any(one in told for one in moved)
    assert ("twice" in told) == twice
