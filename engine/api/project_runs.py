"""The methods of a project to start, plan and inspect runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.api.lookup import choose_run
from engine.api.opened_project import OpenedProject
from engine.scenarios import scenario_selection, session
from engine.scenarios.plan import Plan
from engine.scenarios.result import RunResult as Run
from engine.spec.disturbances import parse_term
from engine.store import RunRecord

if TYPE_CHECKING:
    import polars as pl

    from engine.scenarios.drill_result import DrillResult


class ProjectRuns(OpenedProject):
    """The runs of a project: starts, plans and returns them."""

    __slots__ = ()

    def run(self, scenario: str) -> Run:
        """Run a scenario; return the run with its outcome, steps and check results.

        Raises
        ------
        UsageError
            There is no such scenario.
        StoreError
            The state cannot be used, or the scenario is already running and has `on_busy: refuse`.
        """
        return self._run_scenarios(scenario)[0]

    def run_all(self) -> list[Run]:
        """Run the scenarios of `run:` (or the only one), as `engine run` does, and return their runs in order.

        Raises
        ------
        UsageError
            There are several scenarios, and the spec has no `run:`.
        StoreError
            See `run`.
        """
        return self._run_scenarios()

    def plan(self, *scenarios: str) -> Plan:
        """Return the plan of scenarios (by default those of `run:`, or the only one): all actions with their reasons.

        Nothing is changed. Data are opened: files are hashed, schemas are read, and functions of `python` datasets are
        called.

        Raises
        ------
        UsageError
            There is no such scenario; or none is named, there are several, and the spec has no `run:`.
        StoreError
            The state cannot be read.
        """
        names = scenario_selection.select_scenarios(self.spec, scenarios)
        return session.plan_scenarios(self.spec, names, environ=self.environ, listeners=self.listeners)

    def _run_scenarios(self, *named: str) -> list[Run]:
        names = scenario_selection.select_scenarios(self.spec, named)
        return session.run_scenarios(self.spec, names, environ=self.environ, listeners=self.listeners).runs

    def drill(self, store: str, *disturbances: str, scenarios: Sequence[str] = ()) -> "DrillResult":
        """Disturb the batch of a store in memory; return the checks that fire and the messages, without sending any.

        Parameters
        ----------
        disturbances
            As for `engine drill`, applied in this order: "shift card_age=+0.5sd", "missing card_age=10%".
        scenarios
            The scenarios to run, in order; by default the last one of `run:` that builds the store and those that
            follow it there, or else the last one of the spec that builds it.

        Raises
        ------
        UsageError
            There is no such store or scenario, or the batch does not allow a disturbance.
        DataError
            The batch cannot be read, or the store cannot be built without any disturbance.
        StoreError
            The state cannot be read.
        """
        from engine.scenarios.drill import drill_store

        parsed = [parse_term(one) for one in disturbances]
        return drill_store(
            self.spec, store, parsed, scenarios=scenarios, environ=self.environ, listeners=self.listeners
        )

    def runs(self, last: int | None = None) -> "pl.DataFrame":
        """Return the runs, oldest first; with `last`, only the newest ones.

        Returns
        -------
        id, scenario, state (RUNNING, or the outcome), started (UTC), seconds, trigger, who, parent.
        """
        return self.tables.runs(last).to_frame()

    def past_run(self, id: str) -> RunRecord:  # noqa: A002  the field of RunRecord has this name
        """Return the record of a run by its id or the last part of it; raise UsageError if it is unknown."""
        with self.open_state() as context:
            return context.store.runs.get(choose_run(id, context))

    def log(self, run: str) -> "pl.DataFrame":
        """Return the log of a run and its descendants: at (UTC), level, scenario, step, text.

        Raises
        ------
        UsageError
            There is no such run.
        """
        return self.tables.log(run).to_frame()
