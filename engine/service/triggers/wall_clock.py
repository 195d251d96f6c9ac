"""What the clocks of a time zone show, and which instant that is.

The clocks of a zone are set forwards and back. A time that they skip stands for the first instant after the gap; a time
that they show twice, for the first of its two instants.
"""

from datetime import UTC, datetime, timedelta, tzinfo

DAY_SECONDS = 86400
ONE_SECOND = timedelta(seconds=1)


def find_offset(moment: datetime, zone: tzinfo) -> timedelta:
    """Return how far the clocks of a zone are ahead of UTC at an instant."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def read_clock(moment: datetime, zone: tzinfo) -> datetime:
    """Return what the clocks of a zone show at an instant, as a time without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def find_instant(wall: datetime, zone: tzinfo) -> datetime:
    """Return the instant, in UTC, at which the clocks of a zone show a time."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if read_clock(first, zone) == wall:
        return first
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # of a time that is skipped, this lies before the gap
    return find_next_change(before, first, zone) or first


def find_next_change(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Return the first instant after `start`, up to `end`, from which clocks go otherwise; None without.

    The search looks at every day, so two changes within one day that cancel each other out are not seen.
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
    """Return the last instant after `start`, up to `end`, from which clocks go otherwise; None without."""
    offset = find_offset(end, zone)
    high, first = _to_epoch(end), _to_epoch(start)
    while high > first:
        low = max(high - DAY_SECONDS, first)
        if _offset_at(low, zone) != offset:
            return _bisect_change(low, high, zone)
        high = low
    return None


def _bisect_change(low: int, high: int, zone: tzinfo) -> datetime:
    """Return the instant of the change between two seconds since 1970 whose offsets differ."""
    offset = _offset_at(low, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset_at(middle, zone) == offset else (low, middle)
    return datetime.fromtimestamp(high, UTC)


def _to_epoch(moment: datetime) -> int:
    return int(moment.replace(microsecond=0).timestamp())


def _offset_at(epoch: int, zone: tzinfo) -> timedelta:
    return datetime.fromtimestamp(epoch, zone).utcoffset() or timedelta(0)
