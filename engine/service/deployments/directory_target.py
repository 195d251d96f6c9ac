"""Deployments in a local folder."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundles.extraction import remove_extracted
from engine.errors import EngineError, UsageError
from engine.formatting.moments import format_second
from engine.service.deployments.deployed_state import DeployedState, find_deployed
from engine.service.deployments.evaluation_sources import FolderSource
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.release_retention import has_running_runs
from engine.service.deployments.removal import describe_state, find_server_rows, remove_rows
from engine.service.deployments.updates.order import UpdateContext, UpdateOrder
from engine.service.deployments.updates.start import find_rollback_target, order_back, order_off
from engine.service.deployments.updates.updater import Updater
from engine.spec import load
from engine.spec.resources.deployments import DirectoryInfrastructure
from engine.store import LockBusy, Store
from engine.store.location import locate_state
from engine.store.node import TIDYING_SECONDS, DeploymentRow, Node, OperationRow, RevisionRow
from engine.store.state.temporary_copy import can_write, open_for_reading

if TYPE_CHECKING:
    from engine.bundles.signatures import TrustedKey


class DirectoryTarget:
    """The deployments in a folder.

    Parameters
    ----------
    declared
        The infrastructure with its trusted keys, as files relative to `spec_folder`.
    report
        Called with each progress message.
    checkpoint
        Called with the name of each point where a crash must be harmless; tests end the process there.
    """

    def __init__(
        self,
        folder: Path,
        declared: DirectoryInfrastructure,
        spec_folder: Path,
        environ: Mapping[str, str],
        report: Callable[[str], None],
        checkpoint: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self._declared, self._spec_folder = declared, spec_folder
        self._environ, self._report, self._checkpoint = environ, report, checkpoint

    def find(self, deployment: str) -> DeployedState | None:
        """Return the record of a deployment; None if nothing was deployed under that name. Change nothing."""
        if not (self.folder / "node.db").exists():
            return None
        with self._open() as node:
            return find_deployed(node, deployment)

    def list_operations(self, deployment: str) -> list[OperationRow]:
        """Return the operations on a deployment with their steps and logs, oldest first."""
        if not (self.folder / "node.db").exists():
            return []
        with self._open() as node:
            return node.operations.list_all(deployment)

    @contextmanager
    def open_evaluations(self, deployment: str) -> Iterator[FolderSource]:
        """Yield the source of a deployment's evaluations."""
        project = load(DeploymentPlaces(self.folder, deployment).pointer)
        location = locate_state(project, self._environ)
        opened = Store.open(location) if can_write(location) else open_for_reading(location)
        with opened as store:
            if store.database.migration:
                self._report(store.database.migration)
            yield FolderSource(project.name, store)

    def update(self, order: UpdateOrder) -> OperationRow:
        """Carry out an update and return its finished operation; raise DeploymentRefusedError if it is refused."""
        with self._open() as node:
            if order.key is not None and (known := node.operations.find_by_key(order.key)) is not None:
                return known
            with self._hold(node, order.deployment, order.project) as updater:
                return updater.update(order)

    def roll_back(self, deployment: str, *, by: str, now: bool = False) -> OperationRow:
        """Roll back to the last healthy revision before the active one, with its settings.

        The bundle that was active is quarantined there, if the two revisions have different bundles.
        """
        with self._open() as node:
            row, active = self._get_active(
                node, deployment, "nothing is deployed yet, so there is nothing to go back to"
            )
            with self._hold(node, deployment, row.project) as updater:
                target = find_rollback_target(node, active)
                return updater.update(order_back(row, target, active.number, by, now=now))

    def disable(self, deployment: str, *, by: str) -> OperationRow:
        """Disable the triggers of a deployment."""
        with self._open() as node:
            row, active = self._get_active(node, deployment, "nothing is deployed yet")
            with self._hold(node, deployment, row.project) as updater:
                return updater.update(order_off(row, active, by))

    def delete(self, deployment: str, *, keep_state: bool = False) -> str:
        """Remove a deployment, and its state unless `keep_state`; return what was removed, empty if nothing."""
        with self._open() as node:
            if node.find_deployment(deployment) is None:
                return ""
            with node.lock(deployment, wait=TIDYING_SECONDS):
                places = DeploymentPlaces(node.folder, deployment)
                if has_running_runs(places):
                    raise UsageError(f"{deployment}: it has running runs; wait until they have ended, or abort them")
                rows = find_server_rows(places)
                if rows and not keep_state:
                    spec = places.pointer if places.pointer.exists() else places.find_newest_revision()
                    remove_rows(deployment, spec, self._environ)
                for part in places.list_parts(without_state=keep_state):
                    (remove_extracted if part.is_dir() else Path.unlink)(part)
                if not keep_state:
                    places.folder.rmdir()
                node.delete_deployment(deployment)
            return f"{places.folder}{describe_state(rows, kept=keep_state)}"

    def _open(self) -> Node:
        node = Node.open(self.folder)
        if node.database.migration:
            self._report(node.database.migration)
        return node

    def _get_active(self, node: Node, deployment: str, without: str) -> tuple[DeploymentRow, RevisionRow]:
        row = node.find_deployment(deployment)
        active = None if row is None else node.find_revision(deployment, row.active_revision)
        if row is None or active is None:
            raise UsageError(f"{deployment}: {without}")
        return row, active

    @contextmanager
    def _hold(self, node: Node, deployment: str, project: str) -> Iterator[Updater]:
        """Hold the lock of a deployment after its abandoned operations have been concluded."""
        context = UpdateContext(
            environ=self._environ,
            report=self._report,
            keys=self._load_keys(),
            require=self._declared.require,
            checkpoint=self._checkpoint,
        )

        def report_waiting(busy: LockBusy) -> None:
            at_work = node.operations.find_newest(deployment)
            who = f"{at_work.by} since {format_second(at_work.started)}" if at_work else str(busy.holder)
            self._report(f"waits until another update of {deployment} has ended: {who}")

        with node.lock(deployment, wait=math.inf, waiting=report_waiting):
            updater = Updater(node, node.ensure_deployment(deployment, project), context)
            updater.conclude_interrupted()
            yield updater

    def _load_keys(self) -> "list[TrustedKey]":
        if not self._declared.trusted_keys:
            return []
        from engine.bundles.signatures import load_trusted_keys

        return load_trusted_keys(self._declared.trusted_keys, self._spec_folder)


def conclude_directory(
    folder: Path, environ: Mapping[str, str], report: Callable[[str], None], node_file: Path | None = None
) -> None:
    """Conclude the abandoned operations of an infrastructure; skip those with a process.

    Messages are recorded with all unfinished operations of the deployment: a rollback has two of them, and clients may
    wait for either. `node_file` is that of a node.
    """
    with Node.open(folder) as node:
        for name in dict.fromkeys(one.deployment for one in node.operations.list_open()):
            deployment = node.find_deployment(name)
            if deployment is None:
                continue

            def report_and_record(text: str, name: str = name) -> None:
                report(f"{name}: {text}")
                for operation in node.operations.list_open(name):
                    node.operations.add_event(operation, text)

            try:
                with node.lock(name, wait=False):
                    context = UpdateContext(environ=environ, report=report_and_record, node_file=node_file)
                    Updater(node, deployment, context).conclude_interrupted()
            except LockBusy:
                continue
            except EngineError as problem:  # such as a node.yaml with errors: the others are concluded anyway
                report(f"{name}: what was interrupted cannot be concluded yet: {problem}")
