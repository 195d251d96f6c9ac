"""The queue of waiting fires: coalesces equal ones, skips excess ones, and chooses the next to start.

Of the waiting fires of a scenario with equal values, only the newest stays, because their runs would do the same. Fires
with different values all wait, in the order of their scheduled moments. With `catch_up: all`, the moment is one of the
values.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.scenarios.scenario_selection import is_declared
from engine.service.triggers.catch_up import explain_pause
from engine.service.triggers.fire_keys import is_manual
from engine.service.triggers.schedule import find_trigger, find_zone
from engine.spec.project import ProjectSpec
from engine.spec.resources.triggers import ScheduledTrigger
from engine.store import Fire, FireState, Pause

LONGEST_QUEUE = 100
"""Most waiting fires per scenario."""
Changes = dict[int, dict[str, Any]]
"""The fields to set, by the number of the fire."""


def arrange_queue(
    project: ProjectSpec, waiting: Sequence[Fire], now: datetime, pauses: Sequence[Pause] = ()
) -> Changes:
    """Return the changes of waiting fires before some of them are started.

    Fires of removed triggers and paused scenarios are SKIPPED. Of the fires of a scenario with equal values, the newest
    stays, and the others are COALESCED into it. If a scenario has more than LONGEST_QUEUE fires, the oldest are
    SKIPPED. Manually requested fires ignore pauses, but can be COALESCED.

    Parameters
    ----------
    waiting
        The fires in state WAITING, of one scenario or of several.
    pauses
        The pauses of scenarios; ended ones are ignored.
    """
    changes: Changes = {}
    staying: dict[str, list[Fire]] = defaultdict(list)
    for fire in sorted(waiting, key=_order_in_queue):
        if reason := _find_obstacle(project, fire, now, pauses):
            changes[fire.number] = {"state": FireState.SKIPPED, "reason": reason}
        else:
            staying[fire.scenario].append(fire)
    for fires in staying.values():
        merged = _coalesce_equal(project, fires)
        rest = [one for one in fires if "into" not in merged.get(one.number, {})]
        changes |= merged
        for one in rest[: max(len(rest) - LONGEST_QUEUE, 0)]:
            changes[one.number] = {"state": FireState.SKIPPED, "reason": f"queue full: {LONGEST_QUEUE} later ones wait"}
    return changes


def choose_fires(
    open_fires: Sequence[Fire],
    now: datetime,
    free: int,
    busy_scenarios: Collection[str] = (),
    last_started: Mapping[str, datetime] | None = None,
) -> list[Fire]:
    """Return the waiting fires to start now, at most one for each idle scenario.

    The fires of a scenario are started in the order of their scheduled moments; while the first one waits for its next
    attempt, the others wait behind it. If there are more scenarios than free places, those whose last run was started
    longest ago come first, then those whose fire has the oldest scheduled moment.

    Parameters
    ----------
    open_fires
        All fires that are WAITING, STARTING or RUNNING. A scenario with a STARTING or RUNNING fire is not idle.
    free
        The number of runs that can be started now.
    busy_scenarios
        Further scenarios that are not idle, for example because they were started by hand.
    last_started
        When a run of a scenario was started last, by its name.
    """
    busy = {*busy_scenarios, *(one.scenario for one in open_fires if one.state != FireState.WAITING)}
    heads: dict[str, Fire] = {}
    for fire in sorted(open_fires, key=_order_in_queue):
        if fire.state == FireState.WAITING and fire.scenario not in busy:
            heads.setdefault(fire.scenario, fire)
    ready = [one for one in heads.values() if one.next_try is None or one.next_try <= now]
    started = last_started or {}
    never = datetime.min.replace(tzinfo=now.tzinfo)
    ready.sort(key=lambda one: (started.get(one.scenario, never), _order_in_queue(one)))
    return ready[: max(free, 0)]


def _order_in_queue(fire: Fire) -> tuple[datetime, int]:
    return fire.scheduled, fire.number


def _find_obstacle(project: ProjectSpec, fire: Fire, now: datetime, pauses: Sequence[Pause]) -> str | None:
    """Return why a waiting fire must not be run; None if it can be run."""
    if not is_declared(project, fire.scenario):
        return "superseded: the spec does not have the scenario any more"
    if is_manual(fire):
        return None
    trigger = find_trigger(project, fire.scenario, fire.trigger)
    if trigger is None or not trigger.active:
        return f"superseded: the trigger is {'not in the spec any more' if trigger is None else 'not active any more'}"
    pause = next((one for one in pauses if one.scenario == fire.scenario and one.is_in_force(now)), None)
    return explain_pause(pause, find_zone(project, trigger)) if pause else None


def _coalesce_equal(project: ProjectSpec, fires: Sequence[Fire]) -> Changes:
    """Return the changes that coalesce the fires of a scenario with equal values into the newest one."""
    equal: dict[object, list[Fire]] = defaultdict(list)
    for fire in fires:
        equal[_identify_values(project, fire)].append(fire)
    return {number: values for group in equal.values() if len(group) > 1 for number, values in _merge_group(group)}


def _identify_values(project: ProjectSpec, fire: Fire) -> object:
    """Return a value that is equal for fires of a scenario whose runs would do the same."""
    trigger = None if is_manual(fire) else find_trigger(project, fire.scenario, fire.trigger)
    alone = isinstance(trigger, ScheduledTrigger) and trigger.catch_up == "all"
    return frozenset(fire.values.items()), fire.scheduled if alone else None


def _merge_group(group: Sequence[Fire]) -> Iterator[tuple[int, dict[str, Any]]]:
    *others, newest = group
    for one in others:
        yield one.number, {"state": FireState.COALESCED, "into": newest.number}
    tries = [one.next_try for one in group if one.next_try is not None]
    changed = tuple(dict.fromkeys(name for one in group for name in one.changed))
    inherited = {"next_try": max(tries)} if tries else {}
    values = {**inherited, **({"changed": changed} if changed != newest.changed else {})}
    if values:
        yield newest.number, values
