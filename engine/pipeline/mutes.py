"""Mutes of checks: a muted check is measured, stored and reported, but counts as OK until its mute expires.

The first result after the expiry mentions the mute, since its author may have forgotten it.
"""

from collections.abc import Iterable
from dataclasses import replace

from engine.evaluation.record import CheckMute, CheckResult
from engine.outcome import CheckOutcome
from engine.pipeline.context import BuildContext, StateContext
from engine.store import Mute


def mark_muted_results(target: str, results: Iterable[CheckResult], context: BuildContext) -> list[CheckResult]:
    """Return the results of the checks of `target`; those of muted checks count as OK, whatever their outcome is."""
    now = context.clock()
    newest = {mute.check: mute for mute in context.store.mutes.history([target]) if mute.ended is None}
    expired = {mute.check for mute in newest.values() if mute.until <= now and _is_first_after(mute, context)}
    marked = []
    for result in results:
        mute = newest.get(result.check)
        if mute is None or (mute.until <= now and mute.check not in expired):
            marked.append(result)
            continue
        muted = CheckMute(mute.until, mute.by, mute.reason, over=mute.until <= now)
        counts_as = result.counts_as if muted.over else CheckOutcome.OK
        marked.append(replace(result, counts_as=counts_as, mute=muted))
    return marked


def find_idle_mutes(context: StateContext) -> list[Mute]:
    """Return the mutes in force without effect, because the spec does not have their checks."""
    owners = {**context.project.datasets, **context.project.evaluation_stores}
    return [
        mute
        for mute in context.store.mutes.list_active()
        if mute.target not in owners or mute.check not in owners[mute.target].checks
    ]


def _is_first_after(mute: Mute, context: BuildContext) -> bool:
    """Return whether the check has not been applied since its mute expired."""
    last = context.store.checks.history(mute.target, mute.check, last=1)
    return not last or last[0].created < mute.until
