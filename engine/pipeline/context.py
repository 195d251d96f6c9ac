"""What every build gets: the project with its variables, its data, the state, the secrets, the clock and the log.

It is frozen: an iteration of a loop and a `set_variables` step get a new context, so values cannot outlive their scope.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from engine.file_identity import FileIdentity
from engine.pipeline.actions import Mode
from engine.pipeline.journal import Journal, SaidTexts
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
    """What is needed to look at the state and to change it, where no data are read.

    Attributes
    ----------
    project
        Its overrides are the values that the command line, loops and steps have set so far.
    """

    project: ProjectSpec
    store: Store
    secrets: Secrets
    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    log: RunLog


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext(StateContext):
    """Everything that a build may use.

    Attributes
    ----------
    mode
        In a dry run the store is a copy, and nothing outside may be changed. In a plan, actions are only simulated.
    run
        The id of the run that builds; None outside of runs.
    held_locks
        Tokens of the locks that this run and its parents hold.
    built
        Per evaluation store, the id of the evaluation that this run has built or reused.
    hashes
        The cache of file hashes, which knows the files that were written again with the same content.
    said
        What has been said about the data in this call.
    journal
        The actions and the checks of the current step.
    settled
        The states, by absolute path, in which a watch has found files to be complete.
    """

    datasets: "Datasets"
    hashes: "TouchedFileHashes"
    mode: Mode = "run"
    run: str | None = None
    held_locks: tuple[str, ...] = ()
    built: Mapping[str, str] = field(default_factory=dict)
    said: SaidTexts = field(default_factory=SaidTexts)
    journal: Journal = field(default_factory=Journal)
    settled: Mapping[str, FileIdentity] = field(default_factory=dict)

    def with_moment(self, as_of: datetime) -> Self:
        """Return a context that stands for another moment."""
        project = self.project.with_moment(as_of)
        return replace(self, project=project, datasets=self.datasets.with_project(project))

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return a context in which these variables have these values."""
        if not values:
            return self
        project = self.project.with_variables(values)
        return replace(self, project=project, datasets=self.datasets.with_project(project))

    def without_drill(self) -> Self:
        """Return a context whose data are as they are: no drill disturbs a reference, or what a model is trained on."""
        datasets = self.datasets.with_drill(None)
        return self if datasets is self.datasets else replace(self, datasets=datasets)

    def with_defaults(self, values: Mapping[str, Any]) -> Self:
        """Return a context in which these variables have these values, unless they have been set already."""
        return self.with_values({name: value for name, value in values.items() if name not in self.project.overrides})

    def read_unchanged(self, work: Callable[[Self], T]) -> T:
        """Return what `work` returns for this context; if a file that it reads changes meanwhile, do it once more."""
        from engine.data.files.watched_files import read_unchanged

        def attempt(files: "WatchedFiles") -> T:
            self.journal.clear()
            return work(replace(self, datasets=self.datasets.with_files(files)))

        return read_unchanged(attempt, self.datasets.files.hashes, self.log.warning, self.settled)

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[Self]:
        """Hold a lock of the store; yield a context that knows its token, so that child runs may pass the lock.

        A plan changes nothing, so it needs no lock.
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
