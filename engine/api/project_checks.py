"""The methods of a project for checks of datasets and evaluation stores: apply, replay, mute."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from engine.api import mutes
from engine.api.lookup import find_target
from engine.api.opened_project import OpenedProject
from engine.errors import UsageError
from engine.evaluation.record import CheckResult

if TYPE_CHECKING:
    import polars as pl

    from engine.api.replay import TriedValues


class ProjectChecks(OpenedProject):
    """The checks of a project's datasets and evaluation stores: applied, replayed, muted."""

    __slots__ = ()

    def check(self, target: str, evaluation: str | None = None) -> list[CheckResult]:
        """Apply the present checks of a dataset or an evaluation store; record and return the results.

        Parameters
        ----------
        evaluation
            The evaluation of the store to check; by default the newest.

        Raises
        ------
        UsageError
            There is no such dataset, store or evaluation.
        DataError
            The dataset cannot be read, or violates its contract.
        """
        from engine.pipeline.checks import apply_checks

        find_target(target, self.spec)
        if target in self.stores:
            return self.store(target).check(evaluation)
        if evaluation is not None:
            raise UsageError(f"{target!r} is a dataset, not an evaluation store; it has no evaluation {evaluation!r}")
        with self.open_session() as context:
            return list(context.read_unchanged(lambda attempt: apply_checks(target, attempt)).results)

    def checks(self, target: str, last: int | None = None) -> "pl.DataFrame":
        """Return the check results of a dataset or an evaluation store, oldest first; with `last`, only the newest.

        Returns
        -------
        created (UTC), evaluation (its name), check, metric, outcome, counts_as, value, bounds, reason, run,
        evaluation_id, detectable (the value that would have failed an OK check in 4 of 5 batches of this size).

        Raises
        ------
        UsageError
            There is no such dataset or store.
        """
        return self.tables.checks(target, last=last).to_frame()

    def replay(self, target: str, tried: "TriedValues | None" = None) -> "pl.DataFrame":
        """Apply the checks of a dataset or evaluation store to its whole history; see `EvaluationStore.replay`.

        The evaluations of a dataset are its measurements, named by their time.

        Raises
        ------
        UsageError
            There is no such dataset or store, it has no history, or a tried setting is not possible.
        """
        from engine.api.replay import replay_target

        find_target(target, self.spec)
        with self.open_session() as context:
            return replay_target(target, tried or {}, context).to_frame()

    def mute(self, target: str, check: str, *, until: date | datetime | timedelta, reason: str) -> str:
        """Mute a check: let it count as OK until a time, and record by whom; return the mute as a sentence.

        The check is still measured, stored and shown. An earlier mute of it ends.

        Parameters
        ----------
        until
            The end: a date (its first instant), a time (of the project's time zone, if it has no offset), or a duration
            from now.

        Raises
        ------
        UsageError
            There is no such dataset, store or check, or the time is over.
        """
        with self.open_state() as context:
            return mutes.describe_mute(mutes.mute_check(target, check, until, reason, context))

    def unmute(self, target: str, check: str) -> None:
        """End the mute of a check, and record by whom.

        Raises
        ------
        UsageError
            The check is not muted.
        """
        with self.open_state() as context:
            mutes.unmute_check(target, check, context)

    def mutes(self) -> "pl.DataFrame":
        """Return all mutes of checks, oldest first.

        Returns
        -------
        target (store or dataset), check, state (in force, in force without effect because the spec has no such check,
        expired, or by whom it was ended), until (UTC), by, reason, created (UTC).
        """
        return self.tables.mutes().to_frame()
