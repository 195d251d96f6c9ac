"""Decides which due times of triggers become runs, after a downtime of the server.

A time that is seen later than the `grace` of its trigger is *missed*. `catch_up` decides about missed times: `none`
runs none of them; `last` runs the newest one of all triggers of the scenario with this setting; `all` runs at most the
newest 100 of the trigger, oldest first. The others are recorded as SKIPPED with the reason, at most 100 of them; the
oldest of these records says how many more there were. So after years of downtime, a trigger for every minute costs no
more than after a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from engine.formatting.numbers import format_count, format_duration
from engine.service.triggers.schedule import ScheduledTimes
from engine.spec.resources.triggers import ScheduledTrigger
from engine.store import Pause

MOST_WAITING = 100
"""Most fires of a trigger that may wait for their runs."""
MOST_SKIPPED = 100
"""Most SKIPPED fires that are recorded for a trigger at once."""
TICK = timedelta(microseconds=1)


class DueTime(NamedTuple):
    """A time at which a trigger was due, whether it is skipped, and why it is skipped or run late."""

    scheduled: datetime
    skipped: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DueTrigger:
    """A trigger with its times, the time of its last evaluation, and the present time.

    Attributes
    ----------
    after
        Fires exist for all times until this moment.
    resumed
        The end of the scenario's pause, at most now; times before it are skipped.
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
        """The moment after which times are neither handled already nor skipped because of a pause."""
        return max(self.after, self.resumed) if self.resumed else self.after

    @property
    def on_time(self) -> datetime:
        """The last moment whose times are missed; later times are within the grace period."""
        return max(self.now - self.trigger.grace - TICK, self.begin)

    def list_newest(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """Return at most `most` of the newest times in (after, until], oldest first."""
        found: list[datetime] = []
        moment = self.times.last_until(until)
        while moment is not None and moment > after and len(found) < most:
            found.append(moment)
            moment = self.times.last_until(moment - TICK)
        return found[::-1]

    def find_last_missed(self) -> datetime | None:
        """Return the newest missed time of a trigger with `catch_up: last`; else None."""
        if self.trigger.catch_up != "last":
            return None
        return next(iter(self.list_newest(self.begin, self.on_time, 1)), None)

    def describe_delay(self, scheduled: datetime) -> str:
        """Return a text about when a time was due, and how late it was seen."""
        delay = self.now - scheduled
        late = f"{delay.days:,} days" if delay.days > 2 else format_duration(delay.total_seconds())
        return f"was due {format_moment(scheduled, self.zone)}, seen {late} later"


def decide_due_times(triggers: Sequence[DueTrigger]) -> list[list[DueTime]]:
    """Return the decisions about the due times of a scenario's triggers: a list per trigger, oldest first."""
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
    """Decide about the times in (after, until]; the newest `kept` ones are run, the others are skipped."""
    if after >= until:
        return []
    most = kept + MOST_SKIPPED
    found = due.list_newest(after, until, most)
    skipped = [DueTime(one, True, _explain_skip(due, one)) for one in found[: max(len(found) - kept, 0)]]
    if len(found) == most and (more := due.times.count(after, until) - most):
        skipped[0] = skipped[0]._replace(
            reason=f"{skipped[0].reason}; {format_count(more, 'earlier time')} were missed too"
        )
    run = [DueTime(one, False, f"caught up: {due.describe_delay(one)}" if one <= due.on_time else "")
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
        "last": "of the missed times of the scenario only the last is caught up",
        "all": f"only the newest {MOST_WAITING} missed times are caught up",
    }[due.trigger.catch_up]
    return f"missed: {due.describe_delay(scheduled)}; {rest}"


def find_resumed(pauses: Sequence[Pause], scenario: str, now: datetime) -> tuple[Pause, datetime] | None:
    """Return the pause of a scenario that ends last, with its end (now, if it is in force); None if there is none."""
    own = [one for one in pauses if one.scenario == scenario]
    ends = [(now if one.is_in_force(now) else _find_end(one), place) for place, one in enumerate(own)]
    end, place = max((one for one in ends if one[0] <= now), default=(None, 0))
    return None if end is None else (own[place], end)


def _find_end(pause: Pause) -> datetime:
    """Return the end of a pause that is not in force any more."""
    return min(end for end in (pause.ended, pause.until) if end is not None)


def explain_pause(pause: Pause, zone: tzinfo) -> str:
    """Return the reason of a fire that is SKIPPED because of a pause."""
    why = f": {pause.reason}" if pause.reason else ""
    return f"paused by {pause.by} at {format_moment(pause.created, zone)}{why}"


def format_moment(moment: datetime, zone: tzinfo) -> str:
    """Return a moment as local time of a zone: 2026-11-28 02:30 Europe/Berlin, with seconds unless they are 0."""
    local = moment.astimezone(zone)
    return f"{local:{'%Y-%m-%d %H:%M:%S' if local.second else '%Y-%m-%d %H:%M'}} {zone}"
