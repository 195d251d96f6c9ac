"""Declared dates and times as moments, and the times of earlier periods."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spec.times.declared_times import MONTHS, find_moment, format_declared_time, go_back

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("declared", "moment", "text"),
    [
        (date(2026, 3, 1), datetime(2026, 2, 28, 23, tzinfo=UTC), "2026-03-01"),
        (date(2026, 7, 1), datetime(2026, 6, 30, 22, tzinfo=UTC), "2026-07-01"),
        (datetime.fromisoformat("2026-03-01T12:30"), datetime(2026, 3, 1, 11, 30, tzinfo=UTC), "2026-03-01 12:30"),
        (datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC), None),
    ],
)
def test_a_time_without_an_offset_is_one_of_the_zone(
    declared: date | datetime, moment: datetime, text: str | None
) -> None:
    assert find_moment(declared, BERLIN) == moment
    assert format_declared_time(declared) == (text or "2026-03-01 12:00:05+00:00")


def test_whole_days_are_those_of_the_calendar_and_hours_pass_as_they_do() -> None:
    monday = datetime.fromisoformat("2026-03-30T06:00")  # clocks went forward the day before
    assert go_back(monday, timedelta(days=7), 1, BERLIN) == datetime.fromisoformat("2026-03-23T06:00")
    assert go_back(monday, timedelta(hours=36), 1, BERLIN) == datetime.fromisoformat("2026-03-28T17:00")
    same_moment = monday.replace(tzinfo=BERLIN).astimezone(UTC)
    assert find_moment(go_back(same_moment, timedelta(days=7), 1, BERLIN), BERLIN) == datetime(
        2026, 3, 23, 5, tzinfo=UTC
    )
    assert go_back(date(2026, 3, 30), timedelta(days=7), 4, BERLIN) == date(2026, 3, 2)


@given(st.dates(date(1950, 1, 1), date(2100, 1, 1)), st.sampled_from([*MONTHS]), st.integers(1, 100))
def test_months_before_end_at_the_last_day_that_there_is(day: date, every: str, count: int) -> None:
    (expected,) = pl.Series([day]).dt.offset_by(f"-{MONTHS[every] * count}mo")
    assert go_back(day, every, count, UTC) == expected
