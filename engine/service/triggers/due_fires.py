"""The fires of scheduled triggers."""

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
    """Return the fires of a scenario's scheduled triggers that have become due since their last evaluation.

    Parameters
    ----------
    states
        The states of triggers, after `reconcile_states`; other triggers may be included.
    pauses
        The pauses of scenarios, including ended ones. Times before the end of a pause are SKIPPED.

    Returns
    -------
    The new states of the triggers, evaluated until now, and the fires: WAITING, or SKIPPED with the reason. Both must
    be written in one transaction. After the clock was set back, fires with existing keys can occur again.

    Raises
    ------
    KeyError
        A trigger has no state.
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
    """Return a fire with its previous moment and the values of its trigger's variables.

    It is SKIPPED if the values cannot be computed.

    Parameters
    ----------
    previous
        The previous moment of the trigger; None if there was none.
    """
    fire = replace(fire, previous=previous)
    try:
        values = resolve_fire_values(project, fire.scenario, fire.trigger, fire.scheduled, previous, fire.changed)
    except ValueError as wrong:
        return replace(fire, state=FireState.SKIPPED, reason=f"its variables cannot be filled in: {wrong}")
    return replace(fire, values=values)
