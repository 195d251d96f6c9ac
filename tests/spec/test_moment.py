"""The moment that a run stands for: its dates, the time zone of the project, and days added to dates."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.spec import load
from engine.spec.variables.moment import MOMENT_NAMES, list_moment_values, parse_moment
from engine.spec.variables.references import fill_references

SPEC = "version: 1\nproject: p\ntimezone: {zone}\nvariables: {variables}\n"


def read_names(folder: Path, zone: str, as_of: date | datetime | None, variables: str = "{}") -> dict[str, object]:
    path = folder / "s.yaml"
    path.write_text(SPEC.format(zone=zone, variables=variables), encoding="utf-8")
    return dict(load(path, as_of=as_of).names)


def step_back(day: date, holds: object) -> date:
    """Return the last day up to this one for which something holds, by looking at one day after the other."""
    assert callable(holds)
    while not holds(day):
        day -= timedelta(days=1)
    return day


@given(st.datetimes(datetime(3, 1, 1), datetime(9998, 1, 1)))
def test_the_dates_are_those_that_counting_back_day_by_day_finds(moment: datetime) -> None:
    day, found = moment.date(), list_moment_values(moment.replace(tzinfo=UTC))
    month = step_back(day, lambda one: one.day == 1)
    quarter = step_back(month, lambda one: one.day == 1 and one.month in (1, 4, 7, 10))
    assert set(found) == set(MOMENT_NAMES)
    assert found["as_of"] == found["today"] == day
    assert found["yesterday"] == day - timedelta(days=1)
    assert found["week_start"] == step_back(day, lambda one: one.isoweekday() == 1)
    assert found["month_start"] == month
    last_month = step_back(month - timedelta(days=1), lambda one: one.day == 1)
    assert found["previous_month_start"] == last_month
    assert (month - last_month).days == monthrange(last_month.year, last_month.month)[1]
    assert found["quarter_start"] == quarter
    before = step_back(quarter - timedelta(days=1), lambda one: one.day == 1 and one.month in (1, 4, 7, 10))
    assert found["previous_quarter_start"] == before
    assert found["year_start"] == step_back(day, lambda one: (one.month, one.day) == (1, 1))
    assert found["as_of_time"] == f"{moment:%H:%M:%S}".join([f"{day}T", ""])


@given(st.dates(date(1000, 1, 1), date(3000, 1, 1)), st.integers(-9999, 9999), st.sampled_from(["", " ", "  "]))
def test_days_are_added_to_a_date(day: date, days: int, blank: str) -> None:
    text = f"${{day{blank}{'-' if days < 0 else '+'}{blank}{abs(days)}d}}"
    assert fill_references(text, {"day": day}) == (day + timedelta(days=days)).isoformat()


def test_the_date_is_that_of_the_projects_time_zone(tmp_path: Path) -> None:
    midnight = datetime(2026, 11, 28, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    names = {zone: read_names(tmp_path, zone, midnight) for zone in ("UTC", "Europe/Berlin", "Pacific/Chatham")}
    assert [str(one["as_of"]) for one in names.values()] == ["2026-11-27", "2026-11-28", "2026-11-28"]
    assert [one["as_of_time"] for one in names.values()] == [
        "2026-11-27T23:30:00", "2026-11-28T00:30:00", "2026-11-28T13:15:00"
    ]  # fmt: skip


def test_a_time_without_an_offset_is_one_of_the_projects_clock(tmp_path: Path) -> None:
    assert (
        read_names(tmp_path, "Europe/Berlin", datetime.fromisoformat("2026-07-01T02:30"))["as_of_time"]
        == "2026-07-01T02:30:00"
    )
    shifted = datetime(2026, 7, 1, 2, 30, tzinfo=timezone(timedelta(hours=-4)))
    assert read_names(tmp_path, "Europe/Berlin", shifted)["as_of_time"] == "2026-07-01T08:30:00"


def test_a_date_stands_for_its_first_instant(tmp_path: Path) -> None:
    assert read_names(tmp_path, "Europe/Berlin", date(2026, 3, 29))["as_of_time"] == "2026-03-29T00:00:00"


def test_the_moment_is_now_without_as_of(tmp_path: Path) -> None:
    before = datetime.now(UTC).date()
    assert before <= read_names(tmp_path, "UTC", None)["as_of"] <= datetime.now(UTC).date()


def test_variables_are_made_of_the_moment_and_of_each_other(tmp_path: Path) -> None:
    declared = '{since: "${month_start}", until: "${since + 31d}", label: "${since} to ${until - 1d}"}'
    names = read_names(tmp_path, "UTC", date(2026, 2, 14), declared)
    assert (names["since"], names["until"]) == (date(2026, 2, 1), date(2026, 3, 4))
    assert names["label"] == "2026-02-01 to 2026-03-03"


def test_other_values_of_variables_keep_the_moment(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SPEC.format(zone="UTC", variables='{a: x, b: "${a} ${as_of}"}'), encoding="utf-8")
    project = load(path, as_of=date(2020, 2, 29)).with_variables({"a": "y"})
    assert project.variables["b"] == "y 2020-02-29"
    assert project.with_moment(datetime(2021, 1, 1, tzinfo=UTC)).variables["b"] == "y 2021-01-01"


def test_a_moment_cannot_be_given_as_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SPEC.format(zone="UTC", variables="{}"), encoding="utf-8")
    with pytest.raises(SpecError):
        load(path, {"as_of": "2026-01-01"})


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "28.11.2026", "2026-11-28T25:00", "0001-01-01", "-"])
def test_a_text_that_is_not_a_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a date such as 2026-11-28 or a time"):
        parse_moment(text)
