"""Which of the times that a trigger was due become runs, when some are seen late because nothing ran.

A time that is seen later than the `grace` of its trigger is *missed*. What happens to it says `catch_up`: `none` of the
missed ones is made up for; the `last`, which is the newest of the scenario over all its triggers that say so; or `all`,
at most the newest 100 of a trigger, oldest first. Each of the others is recorded as SKIPPED with the reason, at most
100 of them; the oldest of these says how many more there were. So a trigger of every minute that is seen again after
three years costs no more than one that is seen again after a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from engine.formatting.numbers import format_duration
from engine.service.triggers.schedule import ScheduledTimes
from engine.spec.resources.triggers import ScheduledTrigger
from engine.store import Pause

MOST_WAITING = 100
MOST_SKIPPED = 100
TICK = timedelta(microseconds=1)


class DueTime(NamedTuple):
    """A time at which a trigger was due: whether it is skipped, and why; or that it is made up for."""

    scheduled: datetime
    skipped: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DueTrigger:
    """A trigger that is looked at: its times, up to when it was evaluated, and the clock.

    Attributes
    ----------
    after
        All until then has become fires.
    resumed
        Until when the scenario was paused, at most now; what was due before is not made up for.
    """

    trigger: ScheduledTrigger
    times: ScheduledTimes
    zone: tzinfo
    after: datetime
    now: datetime
    pause: Pause | None = None
    resumed: datetime | None = None

    @property
    def begin(self) -> datetime:
        """The moment after which the times count that no pause has put aside."""
        return max(self.after, self.resumed) if self.resumed else self.after

    @property
    def on_time(self) -> datetime:
        """The moment until which times are missed."""
        return max(self.now - self.trigger.grace - TICK, self.begin)

    def list_newest(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return the newest times after a moment and until another one, oldest first."""
        found: list[datetime] = []
        moment = self.times.last_until(until)
        while moment is not None and moment > after and len(found) < most:
            found.append(moment)
            moment = self.times.last_until(moment - TICK)
        return found[::-1]

    def find_last_missed(self) -> datetime | None:
        """Return the newest missed time, if the trigger says that the last is made up for."""
        if self.trigger.catch_up != "last":
            return None
        return next(iter(self.list_newest(self.begin, self.on_time, 1)), None)

    def describe_delay(self, scheduled: datetime) -> str:
        """Describe when a time was due, and how late it was seen."""
        delay = self.now - scheduled
        late = f"{delay.days:,} days" if delay.days > 2 else format_duration(delay.total_seconds())
        return f"was due {format_moment(scheduled, self.zone)}, seen {late} later"


def decide_due_times(triggers: Sequence[DueTrigger]) -> list[list[DueTime]]:
    """Return what becomes of the times at which the triggers of a scenario were due: for each trigger, oldest first."""
    missed = [(found, -place) for place, one in enumerate(triggers) if (found := one.find_last_missed())]
    last = -max(missed)[1] if missed else None
    return [_decide_trigger(one, made_up_for=place == last) for place, one in enumerate(triggers)]


def _decide_trigger(due: DueTrigger, made_up_for: bool) -> list[DueTime]:
    kept = {"none": 0, "last": int(made_up_for), "all": MOST_WAITING}[due.trigger.catch_up]
    return [
        *_decide_range(due, due.after, due.begin, 0),
        *_decide_range(due, due.begin, due.on_time, kept),
        *_decide_range(due, due.on_time, due.now, MOST_WAITING),
    ]


def _decide_range(due: DueTrigger, after: datetime, until: datetime, kept: int) -> list[DueTime]:
    """Decide on the times after a moment and until another one, of which the newest ones are to be run."""
    if after >= until:
        return []
    most = kept + MOST_SKIPPED
    found = due.list_newest(after, until, most)
    skipped = [DueTime(one, True, _explain_skip(due, one)) for one in found[: max(len(found) - kept, 0)]]
    if len(found) == most and (more := due.times.count(after, until) - most):
        skipped[0] = skipped[0]._replace(reason=f"{skipped[0].reason}; {_count_earlier(more)} were missed too")
    run = [DueTime(one, False, f"made up for: {due.describe_delay(one)}" if one <= due.on_time else "")
           for one in found[len(skipped) :]]  # fmt: skip
    return skipped + run


def _explain_skip(due: DueTrigger, scheduled: datetime) -> str:
    pause = due.pause
    if pause is not None and scheduled <= due.begin:
        if scheduled >= pause.created:
            return explain_pause(pause, due.zone)
        return f"missed: {due.describe_delay(scheduled)}, and {pause.by} has paused the scenario since"
    if scheduled > due.on_time:
        return f"queue full: {MOST_WAITING} later times of the trigger wait already"
    rest = {
        "none": "catch_up is none",
        "last": "of the missed times of the scenario only the last is made up for",
        "all": f"only the newest {MOST_WAITING} missed times are made up for",
    }[due.trigger.catch_up]
    return f"missed: {due.describe_delay(scheduled)}; {rest}"


def find_resumed(pauses: Sequence[Pause], scenario: str, now: datetime) -> tuple[Pause, datetime] | None:
    """Return the pause of a scenario that ends last, and until when it puts times aside: now if it is in force."""
    own = [one for one in pauses if one.scenario == scenario]
    ends = [(now if one.is_in_force(now) else _find_end(one), place) for place, one in enumerate(own)]
    end, place = max((one for one in ends if one[0] <= now), default=(None, 0))
    return None if end is None else (own[place], end)


def _find_end(pause: Pause) -> datetime:
    """Return when a pause that is not in force has ended."""
    return min(end for end in (pause.ended, pause.until) if end is not None)


def explain_pause(pause: Pause, zone: tzinfo) -> str:
    """Return the reason of what is SKIPPED because of a pause."""
    why = f": {pause.reason}" if pause.reason else ""
    return f"paused by {pause.by} at {format_moment(pause.created, zone)}{why}"


def format_moment(moment: datetime, zone: tzinfo) -> str:
    """Return a moment as the clocks of a zone show it: 2026-11-28 02:30 Europe/Berlin; seconds if there are any."""
    local = moment.astimezone(zone)
    return f"{local:{'%Y-%m-%d %H:%M:%S' if local.second else '%Y-%m-%d %H:%M'}} {zone}"


def _count_earlier(more: int) -> str:
    return f"{more:,} earlier time{'s' if more != 1 else ''}"
