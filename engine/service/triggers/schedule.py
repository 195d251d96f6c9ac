"""The times of scheduled triggers, with one function per kind."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Any, Protocol

from engine.service.triggers.cron import CronTimes
from engine.service.triggers.fire_keys import cron_key, interval_key
from engine.service.triggers.interval import make_interval_times
from engine.spec.project import ProjectSpec
from engine.spec.resources.triggers import CronTrigger, IntervalTrigger, ScheduledTrigger, Trigger
from engine.spec.variables.moment import find_time_zone
from engine.store import TriggerState

FIRST_SEEN = "first_seen"
"""The key in `TriggerState.seen` of an interval trigger: the moment from which it is counted, as text."""


class ScheduledTimes(Protocol):
    """The instants, in UTC, at which a trigger is due."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first instant after a moment; None if there is none."""

    def last_until(self, moment: datetime) -> datetime | None:
        """Return the newest instant that is not after a moment; None if there is none."""

    def count(self, after: datetime, until: datetime) -> int:
        """Return the number of instants in (after, until]."""


def _find_cron_times(trigger: CronTrigger, zone: tzinfo, first_seen: datetime) -> ScheduledTimes:
    return CronTimes(trigger.cron, zone)


def _find_interval_times(trigger: IntervalTrigger, zone: tzinfo, first_seen: datetime) -> ScheduledTimes:
    return make_interval_times(trigger.every, trigger.since, first_seen, zone)


TIMES: Mapping[type[ScheduledTrigger], Callable[[Any, tzinfo, datetime], ScheduledTimes]] = {
    CronTrigger: _find_cron_times,
    IntervalTrigger: _find_interval_times,
}
KEYS: Mapping[type[ScheduledTrigger], Callable[[datetime], str]] = {
    CronTrigger: cron_key,
    IntervalTrigger: interval_key,
}


def find_trigger(project: ProjectSpec, scenario: str, trigger: str) -> Trigger | None:
    """Return a trigger of a scenario by its name; None if the project does not have it."""
    found = project.scenarios[scenario].triggers if scenario in project.scenarios else []
    return next((one for one in found if one.name == trigger), None)


def find_zone(project: ProjectSpec, trigger: Trigger | None) -> tzinfo:
    """Return the time zone of a trigger and its runs: its own, or that of the project.

    `trigger` is None for a run that a person has requested.
    """
    return find_time_zone(getattr(trigger, "timezone", None) or project.resources.timezone)


def find_times(
    project: ProjectSpec, trigger: ScheduledTrigger, state: TriggerState | None, now: datetime
) -> ScheduledTimes:
    """Return the instants of a trigger.

    Parameters
    ----------
    state
        The state of the trigger; None if there is none yet: an interval is then counted from now.
    """
    first_seen = datetime.fromisoformat(state.seen[FIRST_SEEN]) if state and FIRST_SEEN in state.seen else now
    return TIMES[type(trigger)](trigger, find_zone(project, trigger), first_seen.astimezone(UTC))


def next_time(
    project: ProjectSpec, scenario: str, trigger: str, state: TriggerState | None, after: datetime
) -> datetime | None:
    """Return when a trigger is due next after a moment, in UTC.

    Returns
    -------
    None for a trigger that is not active or not scheduled, or whose times have ended.
    """
    return next(_iterate_times(project, scenario, trigger, state, after), None)


def list_next_times(
    project: ProjectSpec, scenario: str, trigger: str, state: TriggerState | None, after: datetime, count: int
) -> list[datetime]:
    """Return the first `count` times in UTC at which a trigger is due after a moment; fewer if its times end."""
    return list(islice(_iterate_times(project, scenario, trigger, state, after), count))


def _iterate_times(
    project: ProjectSpec, scenario: str, trigger: str, state: TriggerState | None, after: datetime
) -> Iterator[datetime]:
    found = find_trigger(project, scenario, trigger)
    if isinstance(found, ScheduledTrigger) and found.active:
        times = find_times(project, found, state, after)
        while (found_next := times.next_after(after)) is not None:
            yield found_next
            after = found_next
