"""Triggers that follow another scenario: each end of one of its runs, with an outcome that counts, is a fire.

The ends are taken in the order in which they were recorded. The run of such a fire stands for the same moment as the
run that has ended, so a nightly run that is made up for is followed by one of its own day.
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
"""So many runs may follow each other by such triggers; the next one is not made."""


def find_finished(
    project: ProjectSpec, scenario: str, trigger: str, state: TriggerState, ends: Sequence[RunEnd], now: datetime
) -> tuple[TriggerState, list[Fire]]:
    """Return the fires of a trigger for the runs that have ended since it was looked at.

    Parameters
    ----------
    ends
        Ends of runs, in order: at least those whose numbers are above `state.seen[RUN_END]`.

    Returns
    -------
    The new state of the trigger, and its fires; to be written in one transaction.
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
    """Return how many runs have followed each other until a fire, by triggers that follow another scenario.

    Parameters
    ----------
    find_fire_of_run
        Gives the fire that a run, or the run that it belongs to, was started for; None if it was started otherwise.

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
