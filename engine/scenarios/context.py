"""The context that every step gets: the project with its variables, its data, the store, the secrets, the clock.

It is frozen: an iteration of a loop and a `set_variables` step get a new context, so values cannot outlive their scope.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from engine.data import Datasets, WatchedFiles, read_unchanged
from engine.reporting import DeliveryTime
from engine.scenarios.actions import Action
from engine.scenarios.log import RunLog
from engine.scenarios.result import RunResult
from engine.scenarios.scenario_selection import resolve_scenario
from engine.spec import ProjectSpec
from engine.spec.resources.scenarios import Scenario
from engine.spec.secrets import Secrets
from engine.store import LockBusy, Store

T = TypeVar("T")
Mode = Literal["run", "dry run", "plan"]


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a step may use.

    Attributes
    ----------
    project
        Its overrides are the values that the command line, loops and steps have set so far.
    start_scenario
        Runs another scenario.
    held_locks
        Tokens of the locks that this run and its parents hold.
    built
        Per evaluation store, the id of the evaluation that this run has built or reused.
    preview
        If given, it is called with what each reporter would send, and nothing is sent.
    mode
        In a dry run the store is a copy, and nothing outside may be changed. In a plan, actions are only simulated.
    touched_files
        Paths of files that were written again with the same content.
    told
        What has been said about the data in this call, so that it is said once.
    actions
        The actions of the current step, in order; each planned action is appended.
    delivery_time
        The time for the deliveries of this run, its parents and its child runs together.
    """

    project: ProjectSpec
    datasets: Datasets
    store: Store
    secrets: Secrets
    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    log: RunLog
    start_scenario: "Callable[[str, Context], RunResult]"
    held_locks: tuple[str, ...] = ()
    built: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
    trigger: str = "manual"
    preview: Callable[[str], None] | None = None
    mode: Mode = "run"
    touched_files: Collection[str] = ()
    told: set[str] = field(default_factory=set)
    actions: list[Action] = field(default_factory=list)
    delivery_time: DeliveryTime = field(default_factory=DeliveryTime)

    def get_scenario(self, name: str) -> Scenario:
        """Return a scenario, with the current values of the variables."""
        return resolve_scenario(self.project, name)

    def with_values(self, values: Mapping[str, Any]) -> "Context":
        """Return a context in which these variables have these values."""
        if not values:
            return self
        project = self.project.with_variables(values)
        return replace(self, project=project, datasets=self.datasets.with_project(project))

    def with_defaults(self, values: Mapping[str, Any]) -> "Context":
        """Return a context in which these variables have these values, unless they have been set already."""
        return self.with_values({name: value for name, value in values.items() if name not in self.project.overrides})

    def read_unchanged(self, work: "Callable[[Context], T]") -> T:
        """Return what `work` returns for this context; if a file that it reads changes meanwhile, do it once more."""

        def attempt(files: WatchedFiles) -> T:
            self.actions.clear()
            return work(replace(self, datasets=self.datasets.with_files(files)))

        return read_unchanged(attempt, self.datasets.files.hashes, self.log.warning)

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> "Iterator[Context]":
        """Hold a lock of the store; yield a context that knows its token, so that child runs may pass the lock."""
        with self.store.hold_lock(
            name, wait=wait, run=self.run, scenario=self.log.scenario, under=self.held_locks, waiting=self._log_waiting
        ) as held:
            yield replace(self, held_locks=(*self.held_locks, held.token))

    def _log_waiting(self, busy: LockBusy) -> None:
        self.log.info(f"waiting: {busy}")
