"""The fires of the triggers that start runs at times."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from engine.service.triggers.catch_up import TICK, DueTime, DueTrigger, decide_due_times, find_resumed
from engine.service.triggers.fire_values import resolve_fire_values
from engine.service.triggers.schedule import KEYS, find_times, find_zone
from engine.spec.project import ProjectSpec
from engine.spec.resources.triggers import ScheduledTrigger
from engine.store import Fire, FireState, Pause, TriggerState


def find_due(
    project: ProjectSpec, scenario: str, states: Sequence[TriggerState], now: datetime, pauses: Sequence[Pause] = ()
) -> tuple[list[TriggerState], list[Fire]]:
    """Return what has become due for a scenario since its triggers were evaluated, for all that start it at times.

    Parameters
    ----------
    states
        What is known of triggers, also of others; `reconcile_states` has been asked about all of them before.
    pauses
        The pauses of scenarios, also those that have ended since the triggers were evaluated. What was due before a
        pause has ended is SKIPPED.

    Returns
    -------
    The new states of the triggers, evaluated until now, and the fires: WAITING, or SKIPPED with the reason. Both are to
    be written in one transaction. After a clock was set back, there are fires again whose keys are known already.

    Raises
    ------
    KeyError
        Nothing is known of a trigger.
    """
    known = {one.trigger: one for one in states if one.scenario == scenario}
    found = [one for one in project.scenarios[scenario].triggers if isinstance(one, ScheduledTrigger) and one.active]
    pause, resumed = find_resumed(pauses, scenario, now) or (None, None)
    triggers = [
        DueTrigger(one, find_times(project, one, known[one.name], now), find_zone(project, one),
                   known[one.name].evaluated_until, now, pause, resumed)
        for one in found
    ]  # fmt: skip
    fires = [
        fire
        for due, times in zip(triggers, decide_due_times(triggers), strict=True)
        for fire in _make_fires(project, scenario, due, times)
    ]
    return [replace(known[one.name], evaluated_until=now) for one in found], fires


def _make_fires(project: ProjectSpec, scenario: str, due: DueTrigger, times: Sequence[DueTime]) -> Iterator[Fire]:
    for one in times:
        fire = Fire(
            scenario, due.trigger.name, KEYS[type(due.trigger)](one.scheduled), one.scheduled, due.now,
            state=FireState.SKIPPED if one.skipped else FireState.WAITING, reason=one.reason,
        )  # fmt: skip
        yield fire if one.skipped else fill_values(project, fire, due.times.last_until(one.scheduled - TICK))


def fill_values(project: ProjectSpec, fire: Fire, previous: datetime | None) -> Fire:
    """Return a fire with the moment before and its trigger's variables; SKIPPED if they cannot be filled in.

    Parameters
    ----------
    previous
        The moment of the trigger before, if there was one.
    """
    fire = replace(fire, previous=previous)
    try:
        values = resolve_fire_values(project, fire.scenario, fire.trigger, fire.scheduled, previous, fire.changed)
    except ValueError as wrong:
        return replace(fire, state=FireState.SKIPPED, reason=f"its variables cannot be filled in: {wrong}")
    return replace(fire, values=values)
