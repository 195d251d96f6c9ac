"""The moment of a run, its "as of", and the names for it in texts of a spec.

One moment is fixed for a call of the engine, and the runs that it starts inherit it. So a nightly run that is repeated
for an earlier day (`--as-of 2026-11-20`) reads what it read then.
"""

import os
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal, TypeVar

from engine.formatting.hints import find_similar
from engine.formatting.moments import format_minute
from engine.spec.observations import look_again, note_fact, note_unknown, note_variable

D = TypeVar("D", bound=date)

MOMENT_NAMES = (
    "as_of",
    "as_of_time",
    "today",
    "yesterday",
    "week_start",
    "month_start",
    "previous_month_start",
    "quarter_start",
    "previous_quarter_start",
    "year_start",
)

FIRE_NAMES: Mapping[str, Literal["date", "text"]] = {
    "previous_as_of": "date",
    "previous_as_of_time": "text",
    "changed": "text",
}
"""The names that the variables of a trigger and messages may use besides: whether they are a date or a text.

They are the date and the time of the trigger before, and the names of what has changed.
"""

SAMPLE_FIRE_VALUES: Mapping[str, date | str] = {
    "previous_as_of": date(2026, 1, 1),
    "previous_as_of_time": "2026-01-01T00:00:00",
    "changed": "name",
}
"""Values of the types that FIRE_NAMES have, to see whether a text with them is right."""


def list_moment_values(as_of: datetime) -> Mapping[str, date | str]:
    """Return the values of MOMENT_NAMES at a moment, whose date is taken in its own time zone.

    All are dates, except for the wall-clock time `as_of_time`: a text such as `2026-11-28T02:30:00`. A week starts on
    Monday (ISO 8601).
    """
    day = as_of.date()
    month = day.replace(day=1)
    quarter = month.replace(month=3 * ((day.month - 1) // 3) + 1)
    values = (
        day,
        as_of.replace(tzinfo=None, microsecond=0).isoformat(),
        day,
        day - timedelta(days=1),
        day - timedelta(days=day.weekday()),
        month,
        (month - timedelta(days=1)).replace(day=1),
        quarter,
        add_months(quarter, -3),
        day.replace(month=1, day=1),
    )
    return dict(zip(MOMENT_NAMES, values, strict=True))


def list_fire_values(previous: datetime, changed: Sequence[str]) -> Mapping[str, date | str]:
    """Return the values of FIRE_NAMES.

    Parameters
    ----------
    previous
        The moment of the trigger before, in the time zone of the names; if there was none, the moment itself.
    changed
        The names of what has changed; none if that is not what has started the run.
    """
    before = list_moment_values(previous)
    values = (before["as_of"], before["as_of_time"], ", ".join(changed))
    return dict(zip(FIRE_NAMES, values, strict=True))


def add_months(day: D, months: int) -> D:
    """Return the same day a number of months later; in a month that has no such day, its last one.

    Raises
    ------
    ValueError
        The calendar has no such year.
    """
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return day.replace(year=year, month=month + 1, day=min(day.day, monthrange(year, month + 1)[1]))


def place_moment(as_of: date | datetime | None, zone: tzinfo) -> datetime:
    """Return a moment in a project's time zone.

    Parameters
    ----------
    as_of
        A date (its first instant), a time (of the zone's clock if it has no offset of its own), or None for now.
    """
    if as_of is None:
        return datetime.now(zone)
    if not isinstance(as_of, datetime):
        return datetime.combine(as_of, time(), zone)
    return as_of.replace(tzinfo=zone) if as_of.tzinfo is None else as_of.astimezone(zone)


def find_end(until: date | datetime | timedelta, what: str, now: datetime, zone: tzinfo) -> datetime:
    """Return, in UTC, when something that begins now ends: at a date, at a time, or after a duration.

    Raises
    ------
    ValueError
        That is over already, or after the end of the calendar.
    """
    try:
        end = (now + until if isinstance(until, timedelta) else place_moment(until, zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{what} until {until} would end after the year 9999") from None
    if end <= now:
        raise ValueError(f"{what} until {format_minute(end)} would be over already: it is {format_minute(now)}")
    return end


def parse_moment(text: str) -> date | datetime:
    """Return the date or the time of a text such as `2026-11-28` or `2026-11-28T02:30`.

    Raises
    ------
    ValueError
        It is neither, or is in the first year of the calendar, which has no dates before it.
    """
    try:
        found: date | datetime = date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
    except ValueError:
        found = date.min
    if found.year <= 1:
        raise ValueError(f"expected a date such as 2026-11-28 or a time such as 2026-11-28T02:30, found {text[:60]!r}")
    return found


def find_time_zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name such as `Europe/Berlin`.

    Raises
    ------
    ValueError
        The zone does not exist; the message suggests a similar one.
    """
    if name == "UTC":
        return UTC
    import zoneinfo

    try:
        zone = zoneinfo.ZoneInfo(name)
        _note_zone(name, zoneinfo.TZPATH)
        return zone
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # the other two are for names that are not file names
        note_unknown()
        # An abbreviation such as CEST resembles others of another place: only names of places are suggested.
        similar = find_similar(name, (zone for zone in zoneinfo.available_timezones() if "/" in zone))
        help_ = f'did you mean "{similar}"?' if similar else "write a name such as Europe/Berlin, or UTC"
        raise ValueError(help_) from None


def _note_zone(name: str, folders: Sequence[str]) -> None:
    """Note the file of a zone as zoneinfo finds it: in the first of these folders that has it, else in tzdata."""
    note_variable("PYTHONTZPATH", os.environ.get("PYTHONTZPATH"))
    for folder in folders:
        path = os.path.join(folder, name)  # noqa: PTH118  as zoneinfo joins them
        try:
            found = look_again("file", path)
        except (OSError, ValueError):
            note_unknown()
            return
        note_fact("file", path, found)
        if found is not None:
            return
