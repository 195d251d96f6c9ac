"""The context of builds: the project with its variables, data, state, secrets, clock and log.

It is frozen: each iteration of a loop and each `set_variables` step gets a new one, so values cannot outlive their
scope.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from engine.file_identity import FileIdentity
from engine.pipeline.actions import Mode
from engine.pipeline.journal import Journal, LoggedTexts
from engine.pipeline.log import RunLog
from engine.spec import ProjectSpec
from engine.spec.secrets.values import Secrets
from engine.store import LockBusy, Store

if TYPE_CHECKING:
    from engine.data import Datasets, WatchedFiles
    from engine.pipeline.touched_files import TouchedFileHashes

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateContext:
    """The context for reading and changing the state without data.

    Attributes
    ----------
    project
        The project; its overrides are the values set so far by the command line, loops and steps.
    """

    project: ProjectSpec
    store: Store
    secrets: Secrets
    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    log: RunLog


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext(StateContext):
    """The context of a build.

    Attributes
    ----------
    mode
        In a dry run the store is a copy, and nothing outside may be changed. In a plan, actions are only simulated.
    run
        The id of the current run; None outside runs.
    held_locks
        Tokens of the locks that this run and its parents hold.
    built
        The id of the evaluation that this run built or reused, by evaluation store.
    hashes
        The cache of file hashes, which records files rewritten with the same content.
    logged
        The texts about data that were logged in this call.
    journal
        The actions and the checks of the current step.
    settled
        The states of files that a watch found to be complete, by absolute path.
    """

    datasets: "Datasets"
    hashes: "TouchedFileHashes"
    mode: Mode = "run"
    run: str | None = None
    held_locks: tuple[str, ...] = ()
    built: Mapping[str, str] = field(default_factory=dict)
    logged: LoggedTexts = field(default_factory=LoggedTexts)
    journal: Journal = field(default_factory=Journal)
    settled: Mapping[str, FileIdentity] = field(default_factory=dict)

    def with_moment(self, as_of: datetime) -> Self:
        """Return a context with another moment."""
        project = self.project.with_moment(as_of)
        return replace(self, project=project, datasets=self.datasets.with_project(project))

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return a context with these values of variables."""
        if not values:
            return self
        project = self.project.with_variables(values)
        return replace(self, project=project, datasets=self.datasets.with_project(project))

    def without_drill(self) -> Self:
        """Return a context without a drill, so that references and training data are undisturbed."""
        datasets = self.datasets.with_drill(None)
        return self if datasets is self.datasets else replace(self, datasets=datasets)

    def with_defaults(self, values: Mapping[str, Any]) -> Self:
        """Return a context with these values of variables that are not set yet."""
        return self.with_values({name: value for name, value in values.items() if name not in self.project.overrides})

    def read_unchanged(self, work: Callable[[Self], T]) -> T:
        """Return the result of `work` for this context; repeat it once if a file changes while it is read."""
        from engine.data.files.watched_files import read_unchanged

        def attempt(files: "WatchedFiles") -> T:
            self.journal.clear()
            return work(replace(self, datasets=self.datasets.with_files(files)))

        return read_unchanged(attempt, self.datasets.files.hashes, self.log.warning, self.settled)

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[Self]:
        """Hold a lock of the store; yield a context with its token, which lets child runs pass the lock.

        A plan changes nothing, so it takes no lock.
        """
        if self.mode == "plan":
            yield self
            return
        with self.store.locks.hold(
            name, wait=wait, run=self.run, scenario=self.log.scenario, under=self.held_locks, waiting=self._log_waiting
        ) as held:
            yield replace(self, held_locks=(*self.held_locks, held.token))

    def _log_waiting(self, busy: LockBusy) -> None:
        self.log.info(f"waiting: {busy}")
