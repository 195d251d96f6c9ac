"""The methods of a project for triggers, their fires, and pauses."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from engine.api import tabulation, trigger_history
from engine.api.opened_project import OpenedProject
from engine.views.trigger_view import describe_pause

if TYPE_CHECKING:
    import polars as pl


class ProjectTriggers(OpenedProject):
    """The triggers of a project's scenarios, their fires, and pauses."""

    __slots__ = ()

    def triggers(self) -> "pl.DataFrame":
        """Return the triggers of all scenarios, in the order of the spec. This needs no server.

        Returns
        -------
        scenario, trigger, kind, starts (in words), timezone, state (active, or why it starts no run), last_scheduled
        (of its newest fire, UTC), last_state, last_run, next_times (the next five, UTC; empty for a trigger without
        schedule).
        """
        return tabulation.tabulate_triggers(self.tables.list_triggers()).to_frame()

    def fires(self, last: int | None = None) -> "pl.DataFrame":
        """Return the fires of triggers, oldest first; with `last`, only the newest.

        Returns
        -------
        number, scheduled (UTC), local (the same in the time zone of its trigger, as text), timezone, scenario, trigger,
        state (WAITING, STARTING, RUNNING, DONE, COALESCED, SKIPPED), reason, run (its id), outcome (of its run),
        attempt, into (the number of the fire that it was coalesced into), late (seconds from `scheduled` to the start
        of its run, or without a run, to its recording), changed (the names of the changed datasets).
        """
        return self.tables.fires(last).to_frame()

    def pause(self, scenario: str, *, until: date | datetime | timedelta | None = None, reason: str = "") -> str:
        """Pause the triggers of a scenario, and record by whom; return the pause as a sentence.

        An earlier pause of it ends. Times that are due meanwhile are recorded as SKIPPED, and are not run later. Runs
        can still be started by hand.

        Parameters
        ----------
        until
            The end: a date (its first instant), a time (of the project's time zone, if it has no offset), a duration
            from now, or None for a pause until somebody resumes it.

        Raises
        ------
        UsageError
            There is no such scenario, or the time is over.
        """
        with self.open_state() as context:
            paused = trigger_history.pause_scenario(scenario, until, reason, context)
            return describe_pause(paused) + trigger_history.explain_idle_pause(scenario, context)

    def resume(self, scenario: str) -> None:
        """End the pause of a scenario, and record by whom.

        Raises
        ------
        UsageError
            The scenario is not paused.
        """
        with self.open_state() as context:
            trigger_history.resume_scenario(scenario, context)

    def pauses(self) -> "pl.DataFrame":
        """Return all pauses of scenarios, oldest first.

        Returns
        -------
        scenario, state (in force, in force without effect and why, over, or by whom it was ended), until (UTC; null:
        when somebody resumes it), by, reason, created (UTC).
        """
        return self.tables.pauses().to_frame()
