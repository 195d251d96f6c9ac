"""Triggers that follow another scenario: each end of its runs with one of the wanted outcomes is a fire.

The ends are processed in the order of recording. The run of such a fire stands for the same moment as the run that has
ended, so the follower of a late nightly run belongs to the same day.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from engine.service.triggers.due_fires import fill_values
from engine.service.triggers.fire_keys import find_finished_run, run_key
from engine.service.triggers.schedule import find_trigger
from engine.service.triggers.trigger_states import PREVIOUS
from engine.spec.project import ProjectSpec
from engine.spec.resources.triggers import ScenarioFinishedTrigger
from engine.store import Fire, RunEnd, TriggerState
from engine.store.records.triggers import RUN_END

LONGEST_CHAIN = 10
"""Most runs that may follow each other by such triggers, to stop endless loops."""


def find_finished(
    project: ProjectSpec, scenario: str, trigger: str, state: TriggerState, ends: Sequence[RunEnd], now: datetime
) -> tuple[TriggerState, list[Fire]]:
    """Return the fires of a trigger for the runs that have ended since its last evaluation.

    Parameters
    ----------
    ends
        Ends of runs in order; must include all with numbers above `state.seen[RUN_END]`.

    Returns
    -------
    The new state of the trigger, and its fires; they must be written in one transaction.
    """
    found = find_trigger(project, scenario, trigger)
    new = [one for one in ends if one.number > state.seen[RUN_END]]
    if not isinstance(found, ScenarioFinishedTrigger) or not found.active or not new:
        return state, []
    fires: list[Fire] = []
    before = state.seen.get(PREVIOUS)
    previous = None if before is None else datetime.fromisoformat(before)
    for end in new:
        if end.scenario == found.scenario and end.outcome in found.outcomes:
            fire = Fire(scenario, trigger, run_key(end.run), end.as_of or now, now)
            fires.append(fill_values(project, fire, previous))
            previous = fire.scheduled
    seen = {**state.seen, RUN_END: new[-1].number}
    if previous is not None:
        seen[PREVIOUS] = previous.isoformat()
    return replace(state, evaluated_until=now, seen=seen), fires


def measure_chain(fire: Fire, find_fire_of_run: Callable[[str], Fire | None]) -> int:
    """Return the number of runs before a fire, each of which was started by the end of the previous one.

    Parameters
    ----------
    find_fire_of_run
        Returns the fire that started a run or its oldest ancestor; None if it was started otherwise.

    Returns
    -------
    0 for a fire with another cause; at most LONGEST_CHAIN + 1, which is too many.
    """
    length, at = 0, fire
    while (run := find_finished_run(at)) is not None and length <= LONGEST_CHAIN:
        length += 1
        before = find_fire_of_run(run)
        if before is None:
            break
        at = before
    return length
