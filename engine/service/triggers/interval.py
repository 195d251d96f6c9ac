"""The times of an interval: equal distances from a start.

Whole days, months and years follow the calendar: `every: 14d` from a Tuesday at 02:30 is every second Tuesday at 02:30
local time, also after clocks are changed (`wall_clock` gives the instant). In a month that is too short, the last day
is used: every month from 31 January is 28 February, 31 March. Any other distance is a fixed duration: `every: 12h`
stays 12 hours when clocks are changed, so its local time moves by an hour.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from engine.service.triggers.wall_clock import find_instant, read_clock
from engine.spec.times.declared_times import MONTHS
from engine.spec.variables.moment import add_months

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class IntervalTimes:
    """The instants, in UTC, of an interval.

    Attributes
    ----------
    every
        The distance: a duration, or a number of MONTHS.
    first
        The first instant.
    start
        The local time of the first instant, as declared: it can be a time that the night of a clock change skips.
    """

    every: timedelta | int
    first: datetime
    start: datetime
    zone: tzinfo

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first instant after a moment; None after the end of the calendar."""
        try:
            return self._at(self._place(moment) + 1)
        except (OverflowError, ValueError):
            return None

    def last_until(self, moment: datetime) -> datetime | None:
        """Return the newest instant that is not after a moment; None before the first."""
        place = self._place(moment)
        return self._at(place) if place >= 0 else None

    def count(self, after: datetime, until: datetime) -> int:
        """Return the number of instants in (after, until]."""
        return max(self._place(until) - self._place(after), 0)

    def _place(self, moment: datetime) -> int:
        """Return the index of the newest instant that is not after a moment; -1 before the first instant."""
        if isinstance(self.every, timedelta) and not self._counts_days:
            return max((moment - self.first) // self.every, -1)
        shown = read_clock(moment, self.zone)
        if isinstance(self.every, timedelta):
            place = (shown - self.start) // self.every
        else:
            place = (12 * (shown.year - self.start.year) + shown.month - self.start.month) // self.every
        place = max(place + 1, -1)  # one too many, since a clock change can shift an instant by less than a day
        while place >= 0 and self._at(place) > moment:
            place -= 1
        return place

    def _at(self, place: int) -> datetime:
        if place == 0:
            return self.first
        if not isinstance(self.every, timedelta):
            return find_instant(add_months(self.start, place * self.every), self.zone)
        if self._counts_days:
            return find_instant(self.start + place * self.every, self.zone)
        return self.first + place * self.every

    @property
    def _counts_days(self) -> bool:
        return isinstance(self.every, timedelta) and self.every % DAY == timedelta(0)


def make_interval_times(
    every: timedelta | str, since: date | datetime | None, first_seen: datetime, zone: tzinfo
) -> IntervalTimes:
    """Return the instants of an interval from `since` on, or else from when its trigger was first seen.

    A date means its first instant; a time without an offset is local time of the zone.
    """
    distance = MONTHS[every] if isinstance(every, str) else every
    if isinstance(since, datetime) and since.tzinfo is not None:
        first_seen, since = since.astimezone(UTC), None
    if since is None:
        return IntervalTimes(distance, first_seen, read_clock(first_seen, zone), zone)
    start = since if isinstance(since, datetime) else datetime.combine(since, time())
    return IntervalTimes(distance, find_instant(start, zone), start, zone)
