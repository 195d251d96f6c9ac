"""The new state of a fire when its run has ended, could not begin, or is found after a crash of the server.

Each function returns the fields of the fire to change, which are written in one transaction.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.outcome import Outcome
from engine.service.triggers.schedule import find_trigger
from engine.spec import ProjectSpec
from engine.spec.resources.triggers import ScheduledTrigger
from engine.store import Fire, FireState, RunRecord, shorten_id
from engine.store.runs import DIED

SERVER_ENDED = "the server was ended"
"""The reason of an ABORTED run that gets a second attempt."""

LONGEST_WAIT = timedelta(minutes=1)
"""Longest delay until a fire whose scenario is busy is tried again."""

MOST_ATTEMPTS = 2

Changes = Mapping[str, Any]


def conclude_fire(fire: Fire, run: RunRecord, project: ProjectSpec | None) -> Changes:
    """Return the changes of a fire whose run has ended: it is DONE, or WAITING for a second attempt.

    There is a second attempt if the run was ABORTED because the server has ended or died, unless its trigger has
    `catch_up: none`. There is none if a person has aborted the run, it took too long, or only its own process has died.
    """
    if _was_cut_off(fire, run) and fire.attempt < MOST_ATTEMPTS and _makes_up(fire, project):
        reason = f"run {shorten_id(run.id)} was interrupted when the server ended"
        return {"state": FireState.WAITING, "run": None, "attempt": fire.attempt + 1, "reason": reason}
    return {"state": FireState.DONE, "reason": _explain_end(fire, run), "next_try": None}


def _explain_end(fire: Fire, run: RunRecord) -> str:
    """Return why a run was ABORTED; empty if it was not."""
    if run.outcome is not Outcome.ABORTED:
        return ""
    reasons = [event.what for event in run.events if event.kind == "run"]
    return fire.reason or (reasons[-1] if reasons else "")


def _was_cut_off(fire: Fire, run: RunRecord) -> bool:
    if run.outcome is not Outcome.ABORTED:
        return False
    died = any(event.kind == "run" and event.what.endswith(DIED) for event in run.events)
    return fire.reason == SERVER_ENDED or (died and not fire.reason)


def _makes_up(fire: Fire, project: ProjectSpec | None) -> bool:
    """Return whether the trigger of a fire makes up for missed times; triggers without `catch_up` do."""
    trigger = None if project is None else find_trigger(project, fire.scenario, fire.trigger)
    return not isinstance(trigger, ScheduledTrigger) or trigger.catch_up != "none"


def postpone_fire(now: datetime, tries: int, reason: str) -> Changes:
    """Return the changes of a fire whose run could not begin: WAITING, first for 1 s, at most for LONGEST_WAIT.

    It keeps the id of its run, so that there can be only one run even if the first process still begins.
    """
    wait = min(timedelta(seconds=2 ** min(tries, 6)), LONGEST_WAIT)
    return {"state": FireState.WAITING, "next_try": now + wait, "reason": reason}


def skip_fire(reason: str) -> Changes:
    """Return the changes of a fire that will not be run."""
    return {"state": FireState.SKIPPED, "reason": reason, "next_try": None}
