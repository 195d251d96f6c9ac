"""Describes times of triggers in the hours at which the clocks of a zone change.

The rules are those of Debian's cron. If minute and hour are both fixed, a time that a day does
not have comes when the clock has been put forward, and a time that it has twice comes once. If one of them begins with
`*`, a time starts a run as often as the clock shows it: not at all, or twice. An interval of whole days or months from
a time on has a fixed minute and hour.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache, partial

from engine.formatting.lists import join_some, join_words
from engine.spec.times.declared_times import MONTHS, go_back

MOST_TIMES = 3
"""Most times of a day that are named; the others are counted."""

_YEARS = 10
"""Number of years examined: days of clock changes move in the calendar, and a cron may name a single day."""


def describe_cron_clock_changes(cron: str, zone: tzinfo, year: int) -> str | None:
    """Return the effect of clock changes in its zone on a cron with fixed hours; None if there is none.

    The cron must be valid. The changes of the ten years from `year` on are examined.
    """
    minute, hour, *_ = cron.split()
    if zone is UTC or hour.startswith("*"):
        return None
    return _describe_changes(partial(_list_cron_times, cron), not minute.startswith("*"), zone, year)


def describe_interval_clock_changes(
    since: date | datetime, every: timedelta | str, zone: tzinfo, year: int
) -> str | None:
    """Return the effect of clock changes in its zone on an interval; None if there is none.

    That is so only if it has a time of the day: if `every` is whole days, or one of MONTHS, and `since` is no instant.
    """
    if zone is UTC or (isinstance(every, timedelta) and every % timedelta(days=1)):
        return None
    if isinstance(since, datetime) and since.tzinfo is not None:
        return None
    begin = since if isinstance(since, datetime) else datetime.combine(since, time())
    return _describe_changes(partial(_list_interval_times, begin, every, zone), True, zone, year)


def _describe_changes(
    list_times: Callable[[datetime, datetime], list[datetime]], fixed: bool, zone: tzinfo, year: int
) -> str | None:
    texts: dict[bool, str] = {}
    for start, end, forward in _list_clock_changes(zone, year):
        if forward in texts or not (times := list_times(start, end)):
            continue
        clock = [f"{one:%H:%M}" for one in times]
        shown = join_words(clock, "or") if len(clock) <= MOST_TIMES else join_some(clock, MOST_TIMES)
        if forward:
            texts[True] = f"on a day without {shown} it {f'starts at {end:%H:%M}' if fixed else 'does not start then'}"
        else:
            texts[False] = f"on a day with {shown} twice it starts {'the first time' if fixed else 'both times'}"
    return "; ".join(texts[forward] for forward in sorted(texts, reverse=True)) or None


def _list_interval_times(
    since: datetime, every: timedelta | str, zone: tzinfo, start: datetime, end: datetime
) -> list[datetime]:
    """Return the times of an interval from `start` to before `end`, at most one, on a clock that is never changed."""
    if isinstance(every, timedelta):
        count = (start - since) // every
    else:
        count = (12 * (start.year - since.year) + start.month - since.month) // MONTHS[every]
    times = (go_back(since, every, -number, zone) for number in (count, count + 1) if number >= 0)
    return [one for one in times if isinstance(one, datetime) and start <= one < end]


def _list_cron_times(cron: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the times of a cron from `start` to before `end`, on a clock that is never changed."""
    from cronsim import CronSim

    found = []
    for one in CronSim(re.sub(r"\s+", " ", cron), start - timedelta(seconds=1)):
        if one >= end:
            break
        found.append(one)
    return found


@lru_cache(maxsize=64)
def _list_clock_changes(zone: tzinfo, year: int) -> tuple[tuple[datetime, datetime, bool], ...]:
    return tuple(_find_clock_changes(zone, datetime(year, 1, 1, tzinfo=UTC)))


def _find_clock_changes(zone: tzinfo, start: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
    """Yield the times of the clock that are left out or come twice, from and to, and whether they are left out."""
    for week in range(_YEARS * 53):
        before = start + timedelta(weeks=week)
        after = before + timedelta(weeks=1)
        one, other = _offset(zone, before), _offset(zone, after)
        if one == other:
            continue
        while after - before > timedelta(minutes=1):
            middle = before + (after - before) // 2
            before, after = (middle, after) if _offset(zone, middle) == one else (before, middle)
        # The change is at a full minute between the two.
        change = after.replace(second=0, microsecond=0, tzinfo=None)
        yield change + min(one, other), change + max(one, other), other > one


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
