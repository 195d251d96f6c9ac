"""What becomes of a fire when its run has ended, or is found after a death of the server.

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
"""Why a run was ABORTED that gets a second attempt."""

LONGEST_WAIT = timedelta(minutes=1)
"""A fire whose scenario is busy is tried again at least that often."""

MOST_ATTEMPTS = 2

Changes = Mapping[str, Any]


def conclude_fire(fire: Fire, run: RunRecord, project: ProjectSpec | None) -> Changes:
    """Return what a fire becomes whose run has ended: it is DONE, or WAITING for a second attempt.

    A second attempt is made if the run was ABORTED because the server has ended or died: not if somebody has aborted
    it, it took too long, or its process alone has died; and not if its trigger makes up for nothing.
    """
    if _was_cut_off(fire, run) and fire.attempt < MOST_ATTEMPTS and _makes_up(fire, project):
        reason = f"run {shorten_id(run.id)} was cut off when the server ended"
        return {"state": FireState.WAITING, "run": None, "attempt": fire.attempt + 1, "reason": reason}
    return {"state": FireState.DONE, "reason": _explain_end(fire, run), "next_try": None}


def _explain_end(fire: Fire, run: RunRecord) -> str:
    """Return why a run was ABORTED; nothing if it was not."""
    if run.outcome is not Outcome.ABORTED:
        return ""
    told = [event.what for event in run.events if event.kind == "run"]
    return fire.reason or (told[-1] if told else "")


def _was_cut_off(fire: Fire, run: RunRecord) -> bool:
    if run.outcome is not Outcome.ABORTED:
        return False
    died = any(event.kind == "run" and event.what.endswith(DIED) for event in run.events)
    return fire.reason == SERVER_ENDED or (died and not fire.reason)


def _makes_up(fire: Fire, project: ProjectSpec | None) -> bool:
    """Tell whether the trigger of a fire makes up for what was missed; one that has no such key does."""
    trigger = None if project is None else find_trigger(project, fire.scenario, fire.trigger)
    return not isinstance(trigger, ScheduledTrigger) or trigger.catch_up != "none"


def postpone_fire(now: datetime, tries: int, reason: str) -> Changes:
    """Return what a fire becomes whose run could not begin: WAITING, for 1 s after the first try, at most 1 minute.

    It keeps the id of its run: whichever process gets to it first, there is one run of it.
    """
    wait = min(timedelta(seconds=2 ** min(tries, 6)), LONGEST_WAIT)
    return {"state": FireState.WAITING, "next_try": now + wait, "reason": reason}


def skip_fire(reason: str) -> Changes:
    """Return what a fire becomes that nothing is run for."""
    return {"state": FireState.SKIPPED, "reason": reason, "next_try": None}
