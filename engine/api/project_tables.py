"""The contents of a project's state as tables and sentences without polars, for the command line."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from engine.api import tabulation, trigger_history
from engine.api.evaluation_selection import choose_evaluation
from engine.api.lookup import check_last, choose_run, find_target, require_store
from engine.api.mutes import describe_mutes
from engine.api.result_table import ResultTable
from engine.api.run_logs import tabulate_log
from engine.notifications import has_state
from engine.pipeline.context import StateContext
from engine.pipeline.mutes import find_idle_mutes
from engine.spec import ProjectSpec
from engine.store import OutboxMessage
from engine.views.trigger_view import FireView, TriggerView


@dataclass(frozen=True, slots=True)
class ProjectTables:
    """The tables of the methods of `Project` with the same names, with the same errors."""

    spec: ProjectSpec
    open_state: Callable[[], AbstractContextManager[StateContext]]

    def runs(self, last: int | None = None) -> ResultTable:
        """Return the runs, oldest first; with `last`, only the newest ones."""
        with self.open_state() as context:
            return tabulation.tabulate_runs(context.store.runs.history(last=check_last(last), whole=False))

    def count_runs(self) -> int:
        """Return the number of runs."""
        with self.open_state() as context:
            return context.store.runs.count()

    def log(self, run: str) -> ResultTable:
        """Return the log of a run and its descendants."""
        with self.open_state() as context:
            runs = context.store.runs
            descendants = runs.list_descendants(choose_run(run, context))
            return tabulate_log([runs.folder_of(id_) / "log.jsonl" for id_ in descendants])

    def checks(self, target: str, evaluation: str | None = None, last: int | None = None) -> ResultTable:
        """Return the check results of a dataset or store, or of one evaluation, oldest first."""
        find_target(target, self.spec)
        if evaluation is not None:
            require_store(target, self.spec)
        with self.open_state() as context:
            only = None if evaluation is None else choose_evaluation(target, evaluation, context)
            points = context.store.checks.history(target, last=check_last(last), evaluation=only)
            ids = {point.result.evaluation for point in points if point.result.evaluation is not None}
            return tabulation.tabulate_checks(points, context.store.evaluations.name_ids(ids))

    def outbox(self) -> ResultTable:
        """Return the messages that were not sent, oldest first."""
        with self.open_state() as context:
            return tabulation.tabulate_messages(context.store.outbox.list_unsent())

    def messages_of(self, run: str) -> list[OutboxMessage]:
        """Return the messages of a run in their present states; raise UsageError if the run is unknown."""
        with self.open_state() as context:
            return context.store.outbox.list_of_run(choose_run(run, context))

    def mutes(self) -> ResultTable:
        """Return all mutes of checks, oldest first."""
        with self.open_state() as context:
            mutes = context.store.mutes
            return tabulation.tabulate_mutes(mutes.history(), mutes.list_active(), find_idle_mutes(context))

    def describe_mutes(self, target: str | None = None) -> list[str]:
        """Return a sentence per mute in force, of the checks of one store or dataset or of all."""
        with self.open_state() as context:
            return describe_mutes(target, context)

    def pauses(self) -> ResultTable:
        """Return all pauses of scenarios, oldest first."""
        with self.open_state() as context:
            pauses = context.store.pauses
            idle = {name: trigger_history.explain_idle_pause(name, context) for name in pauses.list_scenarios()}
            return tabulation.tabulate_pauses(pauses.history(), pauses.list_active(), idle)

    def describe_pauses(self) -> list[str]:
        """Return a sentence for each pause in force."""
        with self.open_state() as context:
            return trigger_history.describe_pauses(context)

    def list_triggers(self) -> list[TriggerView]:
        """Return the triggers of all scenarios, in the order of the spec."""
        with self.open_state() as context:
            return trigger_history.list_triggers(context)

    def describe_late_triggers(self) -> list[str]:
        """Return sentences about triggers that engine serve does not evaluate in time; empty if all is well."""
        with self.open_state() as context:
            return trigger_history.describe_late_evaluation(context)

    def fires(self, last: int | None = None) -> ResultTable:
        """Return the fires of triggers, oldest first; with `last`, only the newest."""
        with self.open_state() as context:
            return tabulation.tabulate_fires(trigger_history.list_fires(check_last(last), context))

    def count_fires(self) -> int:
        """Return the number of fires."""
        with self.open_state() as context:
            return context.store.fires.count()

    def fire_of(self, run: str) -> FireView | None:
        """Return the fire that started a run, None without one; raise UsageError if the run is unknown."""
        with self.open_state() as context:
            return trigger_history.find_fire_of(context.store.runs.get(choose_run(run, context)), context)

    def reporter_states(self) -> ResultTable:
        """Return the states of the reporters with `only_on_change` or `cooldown`."""
        with self.open_state() as context:
            declared = [
                (name, reporter)
                for name, scenario in self.spec.scenarios.items()
                for reporter in scenario.reporters
                if has_state(reporter)
            ]
            states = {name: context.store.reporter_states.list_of(name) for name, _ in declared}
            return tabulation.tabulate_reporters(declared, [state for found in states.values() for state in found])
