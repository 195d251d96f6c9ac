"""Pulls the evaluations of a deployment into the state of its project, marked with their origin.

A pull lists all evaluations of the deployment and receives those that are missing here, oldest first. They are compared
by id, so no progress is recorded: after an interruption, the next pull continues.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydantic import Field

from engine.errors import StoreError, UsageError
from engine.formatting.control_characters import single_line
from engine.formatting.hints import did_you_mean
from engine.pipeline.actions import FrozenModel
from engine.service.deployments.evaluation_sources import EvaluationSource, Wanted
from engine.service.deployments.settings import get_deployment
from engine.service.deployments.targets import open_target
from engine.spec import ProjectSpec
from engine.store import LockBusy, Store
from engine.store.pulled_state import Arrival, PulledState
from engine.store.transfer import TRANSFERRED_FILES, EvaluationEntry, TravellingEvaluation

EVALUATIONS_AT_ONCE = 20
"""Most evaluations in one transaction, which blocks other writers; each may have thousands of metrics."""

BYTES_AT_ONCE = 64 * 2**20
MOST_LISTED = 1_000_000
"""Most evaluations read from one deployment, which bounds an endless list."""


class Pulled(FrozenModel):
    """The counts of evaluations of a pull, for the requested stores and times."""

    schema_version: int = 1
    deployment: str
    infrastructure: str
    evaluations: int = Field(description="Those that are new here.")
    checked: int = Field(description="Those that were here, and whose checks were applied again there.")
    superseded: int = Field(description="Those that were here, and were or are no longer superseded there since.")
    known: int = Field(description="Those that were here.")
    removed: int = Field(description="Those that were removed here, and so were not copied again.")
    gone: int = Field(description="Those that are here and not there any more: they were removed there, and stay here.")
    unknown_stores: dict[str, int] = Field(
        description="Those that were not copied, by the name of their store, which this spec does not have."
    )


def pull_evaluations(
    project: ProjectSpec,
    name: str,
    store: Store,
    *,
    environ: Mapping[str, str],
    of_store: str | None,
    since: datetime | None,
    report: Callable[[str], None],
) -> Pulled:
    """Pull the missing evaluations of a deployment, and return their counts.

    Parameters
    ----------
    store
        The open state of the project.
    of_store
        The evaluation store to pull; None for all stores of the spec.
    since
        The earliest evaluation time, or creation time for evaluations without one.

    Raises
    ------
    UsageError
        The spec has no such deployment or store, nothing is deployed, or the project is a deployment itself.
    StoreError, NodeError
        The received data are invalid, or cannot be read or stored; evaluations pulled before that are kept.
    """
    if project.revision is not None:
        raise UsageError(f"{project.path} is the deployment {project.revision.deployment!r} itself: pull from the spec")
    infrastructure = get_deployment(project, name).infrastructure
    stores = list(project.evaluation_stores)
    if of_store is not None and of_store not in stores:
        help_ = did_you_mean(of_store, stores, "the stores are")
        raise UsageError(f"the spec has no evaluation store {of_store!r}; {help_}")
    target = open_target(project, infrastructure, environ, report)
    found = target.find(name)
    if found is None or found.row.active_revision is None:
        raise UsageError(f"{name}: nothing is deployed yet, so there is nothing to pull")
    if found.row.project != project.name:
        raise UsageError(
            f"{name}: the project {found.row.project!r} is deployed there, and not {project.name!r}: its evaluations "
            "do not belong here"
        )

    def report_waiting(busy: LockBusy) -> None:
        report(f"waits until another pull has ended: {busy.holder}")

    with store.locks.hold(f"pull {name}", waiting=report_waiting), target.open_evaluations(name) as source:
        pull = _Pull(project, infrastructure, store, source, Wanted(name, of_store, since), report)
        return pull.carry_out()


class _Pull:
    """One pull from one deployment."""

    def __init__(
        self,
        project: ProjectSpec,
        infrastructure: str,
        store: Store,
        source: EvaluationSource,
        wanted: Wanted,
        report: Callable[[str], None],
    ) -> None:
        self._project, self._store, self._source, self._wanted, self._report = project, store, source, wanted, report
        self._here = PulledState(store, wanted.deployment, infrastructure)
        self._infrastructure = infrastructure

    def carry_out(self) -> Pulled:
        """Pull the missing evaluations."""
        listed = self._list_all()
        for entry in listed:
            if self._here.is_foreign(entry.id):
                raise StoreError(
                    f"{self._wanted.deployment} has the evaluation {entry.id}, which is here already, and was not "
                    "pulled from there: that is the state of something else. Nothing was copied"
                )
        superseded_by = self._here.resolve_superseded(listed)
        in_spec = [one for one in listed if one.store in self._project.evaluation_stores]
        known = [one for one in in_spec if self._here.knows(one.id)]
        removed = [one for one in in_spec if one.id in self._here.removed]
        fresh = [one for one in in_spec if one.id not in self._here.removed and not self._here.knows(one.id)]
        behind = [one for one in known if self._here.is_behind(one)]
        gone = self._here.list_gone(listed, self._wanted.store, self._wanted.since)
        brought = self._bring(fresh, superseded_by, "evaluations")
        checked = self._bring(behind, superseded_by, "results of checks")
        self._here.follow(superseded_by)
        return Pulled(
            deployment=self._wanted.deployment,
            infrastructure=self._infrastructure,
            evaluations=brought,
            checked=checked,
            superseded=len(self._here.followed),
            known=len(known),
            removed=len(removed),
            gone=len(gone),
            unknown_stores=Counter(one.store for one in listed if one.store not in self._project.evaluation_stores),
        )

    def _list_all(self) -> list[EvaluationEntry]:
        """Return the entries of all evaluations that existed at the start; raise StoreError if the list is invalid."""
        listed: dict[str, EvaluationEntry] = {}
        after, newest, more = 0, None, True
        while more:
            page = self._source.list_page(self._wanted, after)
            newest = page.newest if newest is None else newest
            whose = (page.project, page.deployment)
            if whose != (self._project.name, self._wanted.deployment):
                raise self._refuse(f"it is about the deployment {page.deployment!r} of the project {page.project!r}")
            for entry in page.evaluations:
                if entry.number <= after or entry.id in listed:
                    raise self._refuse("it is not in order")
                after = entry.number
                if entry.number <= newest:  # newer ones may have superseded listed ones
                    listed[entry.id] = entry
            if page.next is not None and (page.next != after or not page.evaluations):
                raise self._refuse("it does not continue where the page before it ends")
            if len(listed) > MOST_LISTED:
                raise self._refuse(f"it has more than {MOST_LISTED:,} evaluations; use --store or --since")
            more = page.next is not None and after < newest
        return list(listed.values())

    def _refuse(self, reason: str) -> StoreError:
        return StoreError(f"the list of evaluations of {self._wanted.deployment} is refused: {reason}")

    def _bring(self, entries: Sequence[EvaluationEntry], superseded_by: Mapping[str, str | None], what: str) -> int:
        """Pull evaluations in several transactions; return how many there were."""
        done = 0
        while entries:
            with self._store.folders.stage() as staging:
                arrived, taken = self._receive(entries, staging)
                self._here.add(arrived, superseded_by)
            entries, done = entries[taken:], done + len(arrived)
            if entries:
                self._report(f"{what}: {done:,} copied, {len(entries):,} left")
        return done

    def _receive(self, entries: Sequence[EvaluationEntry], staging: Path) -> tuple[list[Arrival], int]:
        """Receive the first of some evaluations; return them, and how many were requested."""
        arrived: list[Arrival] = []
        size = 0
        for taken, entry in enumerate(entries[:EVALUATIONS_AT_ONCE], 1):
            folder = staging / str(taken)
            folder.mkdir()
            found = self._source.find(entry.id)
            if found is not None:
                found = self._receive_files(entry, found, folder)
                arrived.append(Arrival(entry, found, folder))
                size += sum(one.bytes for one in found.files.values())
            if size > BYTES_AT_ONCE:
                return arrived, taken
        return arrived, min(len(entries), EVALUATIONS_AT_ONCE)

    def _receive_files(self, entry: EvaluationEntry, found: TravellingEvaluation, folder: Path) -> TravellingEvaluation:
        """Receive the files of a new evaluation, and return it; without the files if they no longer exist there."""
        if self._here.knows(entry.id):
            return found.model_copy(update={"files": {}})
        for name, file in found.files.items():
            if name not in TRANSFERRED_FILES:
                raise StoreError(
                    f"the evaluation {entry.id} is refused: {single_line(repr(name), limit=100)} is not a file of one"
                )
            if not self._source.receive_file(entry.id, name, folder / name, file.bytes):
                for path in folder.iterdir():
                    path.unlink()
                gone = replace(found.evaluation, files_removed=self._store.database.now())
                return found.model_copy(update={"files": {}, "evaluation": gone})
        return found
