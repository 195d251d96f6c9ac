"""Declared dates and times as moments: a date is the start of its day; one without a zone is in that of the project."""

from datetime import UTC, date, datetime, timedelta, tzinfo

from engine.spec.resources.project import ProjectResource
from engine.spec.variables.moment import add_months, find_time_zone, place_moment

YEARS = range(1900, 3000)
"""The valid years of data; others are assumed to be mistakes."""

MONTHS = {"1mo": 1, "3mo": 3, "1y": 12}
"""The lengths of periods that are counted in months."""


def find_moment(declared: date | datetime, zone: tzinfo) -> datetime:
    """Return the moment of a declared date or time, in UTC."""
    return place_moment(declared, zone).astimezone(UTC)


def format_declared_time(declared: date | datetime) -> str:
    """Return a declared date or time as text: `2026-03-01`, `2026-03-01 12:30`."""
    if not isinstance(declared, datetime):
        return declared.isoformat()
    precision = "minutes" if not (declared.second or declared.microsecond) else "auto"
    return declared.isoformat(" ", precision)


def go_back(declared: date | datetime, every: timedelta | str, count: int, zone: tzinfo) -> date | datetime:
    """Return the date or time that was `count` periods before another one.

    Periods of whole days and months are those of the calendar in `zone`: the same time of day, whether or not clocks
    have been changed in between. A month that has no such day has its last one instead.
    """
    if isinstance(declared, datetime) and declared.tzinfo:
        declared = declared.astimezone(zone)
    if isinstance(every, timedelta):
        if not every % timedelta(days=1):
            return declared - count * every
        earlier = find_moment(declared, zone) - count * every
        return earlier.astimezone(zone).replace(tzinfo=None)
    return add_months(declared, -count * MONTHS[every])


def find_zone(project: ProjectResource) -> tzinfo:
    """Return the time zone of a project, the default of declared dates and times."""
    try:
        return find_time_zone(project.timezone)
    except ValueError:  # reported where it is declared
        return UTC
