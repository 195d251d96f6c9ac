"""Conversion between instants and local times of a time zone.

A local time that is skipped when clocks are set forward means the first instant after the gap; a local time that occurs
twice means its first instant.
"""

from datetime import UTC, datetime, timedelta, tzinfo

DAY_SECONDS = 86400
ONE_SECOND = timedelta(seconds=1)


def find_offset(moment: datetime, zone: tzinfo) -> timedelta:
    """Return the UTC offset of a zone at an instant."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def read_clock(moment: datetime, zone: tzinfo) -> datetime:
    """Return the local time of a zone at an instant, without tzinfo."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def find_instant(wall: datetime, zone: tzinfo) -> datetime:
    """Return the instant, in UTC, of a local time of a zone."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if read_clock(first, zone) == wall:
        return first
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # for a skipped time, this is before the gap
    return find_next_change(before, first, zone) or first


def find_next_change(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Return the first change of the UTC offset in (start, end]; None if there is none.

    The search samples every day, so two changes within one day that cancel each other out are not found.
    """
    offset = find_offset(start, zone)
    low, last = _to_epoch(start), _to_epoch(end)
    while low < last:
        high = min(low + DAY_SECONDS, last)
        if _offset_at(high, zone) != offset:
            return _bisect_change(low, high, zone)
        low = high
    return None


def find_last_change(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Return the last change of the UTC offset in (start, end]; None if there is none."""
    offset = find_offset(end, zone)
    high, first = _to_epoch(end), _to_epoch(start)
    while high > first:
        low = max(high - DAY_SECONDS, first)
        if _offset_at(low, zone) != offset:
            return _bisect_change(low, high, zone)
        high = low
    return None


def _bisect_change(low: int, high: int, zone: tzinfo) -> datetime:
    """Return the instant of the change between two times, in seconds since 1970, whose offsets differ."""
    offset = _offset_at(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset_at(middle, zone) == offset else (low, middle)
    return datetime.fromtimestamp(high, UTC)


def _to_epoch(moment: datetime) -> int:
    return int(moment.replace(microsecond=0).timestamp())


def _offset_at(epoch: int, zone: tzinfo) -> timedelta:
    return datetime.fromtimestamp(epoch, zone).utcoffset() or timedelta(0)
