"""Mutes of checks: adds them, ends them, and describes those in force."""

from datetime import date, datetime, timedelta

from engine.acting_user import describe_acting_user
from engine.api.lookup import require_check
from engine.api.trigger_history import resolve_end
from engine.errors import UsageError
from engine.evaluation.record import CheckMute
from engine.formatting.lists import join_some
from engine.pipeline.context import StateContext
from engine.store import Mute


def mute_check(target: str, check: str, until: date | datetime | timedelta, reason: str, context: StateContext) -> Mute:
    """Mute a check until a time; raise UsageError if the check does not exist or the time is past."""
    require_check(target, check, context.project)
    end = resolve_end(until, "a mute", context)
    mute = Mute(target, check, end, describe_acting_user(), " ".join(reason.split()), context.clock())
    context.store.mutes.add(mute)
    return mute


def unmute_check(target: str, check: str, context: StateContext) -> None:
    """End the mute of a check; raise UsageError if it is not muted."""
    if not context.store.mutes.end(target, check, describe_acting_user()):
        muted = [f"{mute.check!r} of {mute.target}" for mute in context.store.mutes.list_active()]
        others = f"muted are {join_some(muted)}" if muted else "no check is muted"
        raise UsageError(f"check {check!r} of {target} is not muted; {others}")


def describe_mute(mute: Mute) -> str:
    """Return a mute as a sentence."""
    return f"check {mute.check!r} is {CheckMute(mute.until, mute.by, mute.reason)}"


def describe_mutes(target: str | None, context: StateContext) -> list[str]:
    """Return a sentence per mute in force, of the checks of one store or dataset or of all."""
    active = [mute for mute in context.store.mutes.list_active() if target in (None, mute.target)]
    return [f"{mute.target}: {describe_mute(mute)}" for mute in active]
