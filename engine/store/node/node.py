"""The bundles, deployments and revisions of an infrastructure, and the locks on them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from engine.errors import UsageError
from engine.store.clock import utc_now
from engine.store.locks import LockBusy, Locks, hold_file_lock
from engine.store.node.node_database import NodeDatabase, name_node, open_node_database
from engine.store.node.operations import Operations
from engine.store.node.records import DeploymentRow, ReceivedBundle, RevisionRow, RevisionState
from engine.store.node.tables import bundles, deployments, revisions
from engine.store.node.tokens import Tokens

TIDYING_SECONDS = 10.0
"""Seconds to wait for the process of an operation that has ended, which removes old releases under its lock."""


class Node:
    """An open infrastructure. Each process must open its own."""

    def __init__(self, database: NodeDatabase) -> None:
        self.database = database
        self.operations = Operations(database)
        self.tokens = Tokens(database)
        self._locks = Locks(database.folder, database.now)

    @classmethod
    def open(cls, folder: Path, now: Callable[[], datetime] = utc_now) -> Self:
        """Open the infrastructure in a folder, which is created if it is missing; raise StoreError if that fails."""
        return cls(open_node_database(folder, now))

    @property
    def folder(self) -> Path:
        """The folder of the infrastructure."""
        return self.database.folder

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def lock(
        self, deployment: str, *, wait: bool | float = True, waiting: Callable[[LockBusy], None] | None = None
    ) -> Iterator[None]:
        """Hold the lock of a deployment; the operating system releases it when this process ends, even if killed.

        Raises
        ------
        LockBusy
            Another process holds the lock, and `wait` is False or its seconds are over.
        """
        with name_node(), self._locks.hold(_lock_name(deployment), wait=wait, waiting=waiting):
            yield

    def take_lock(self, deployment: str, *, wait: float) -> int:
        """Return a descriptor with the lock of a deployment, for a child process; raise LockBusy if it is held."""
        with name_node():
            return self._locks.take(_lock_name(deployment), wait=wait)

    @contextmanager
    def adopt_lock(self, deployment: str, descriptor: int) -> Iterator[None]:
        """Hold the lock of a deployment by an inherited descriptor."""
        with name_node(), self._locks.adopt(_lock_name(deployment), descriptor):
            yield

    @contextmanager
    def lock_archives(self) -> Iterator[None]:
        """Hold the lock on the archives of all deployments, so that none is removed while a deployment needs it."""
        with name_node(), hold_file_lock(self.folder, "archives"):
            yield

    def is_locked(self, deployment: str) -> bool:
        """Return whether a process works on the deployment now."""
        return self._locks.is_held(_lock_name(deployment))

    # --- bundles

    def add_bundle(self, bundle: ReceivedBundle) -> None:
        """Record a bundle before its archive is stored, or replace its record."""
        values = {**asdict(bundle), "signers": list(bundle.signers)}
        with self.database.begin_write() as connection:
            statement = insert_or_update(bundles).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    def list_bundles(self) -> list[ReceivedBundle]:
        """Return the bundles whose archives exist, in the order in which they were received.

        A row is written before its archive and removed after it, so a killed process may leave a row without archive.
        """
        with self.database.begin_read() as connection:
            rows = connection.execute(select(bundles).order_by(bundles.c.received)).mappings().all()
        here = {path.stem for path in (self.folder / "bundles").glob("*.zip")}
        return [ReceivedBundle(**{**row, "signers": tuple(row["signers"])}) for row in rows if row["id"] in here]

    def remove_bundle(self, id_: str) -> None:
        """Delete the row of a bundle whose archive was removed."""
        with self.database.begin_write() as connection:
            connection.execute(delete(bundles).where(bundles.c.id == id_))

    # --- deployments

    def list_deployments(self) -> list[DeploymentRow]:
        """Return the deployments, by name."""
        with self.database.begin_read() as connection:
            rows = connection.execute(select(deployments).order_by(deployments.c.name)).mappings().all()
        return [DeploymentRow(**row) for row in rows]

    def find_deployment(self, name: str) -> DeploymentRow | None:
        """Return the deployment with this name; None if there is none."""
        return next((one for one in self.list_deployments() if one.name == name), None)

    def ensure_deployment(self, name: str, project: str) -> DeploymentRow:
        """Return a deployment, which is created if it does not exist.

        Raises
        ------
        UsageError
            The deployment belongs to another project.
        """
        with self.database.begin_write() as connection:
            values = {"name": name, "project": project, "enabled": True, "error": "", "quarantined": {}}
            connection.execute(insert_or_update(deployments).values(values).on_conflict_do_nothing())
        found = self.find_deployment(name)
        if found is None or found.project != project:
            whose = "another one" if found is None else found.project
            raise UsageError(
                f'the deployment "{name}" in {self.folder} belongs to the project {whose}, not to {project}: '
                "give it another name, or choose another infrastructure"
            )
        return found

    def change_deployment(self, name: str, **values: Any) -> None:
        """Change columns of a deployment."""
        with self.database.begin_write() as connection:
            connection.execute(update(deployments).where(deployments.c.name == name).values(**values))

    def delete_deployment(self, name: str) -> None:
        """Delete a deployment with its revisions and operations."""
        with self.database.begin_write() as connection:
            connection.execute(delete(deployments).where(deployments.c.name == name))

    # --- revisions

    def list_revisions(self, deployment: str) -> list[RevisionRow]:
        """Return the revisions of a deployment, oldest first."""
        with self.database.begin_read() as connection:
            query = select(revisions).where(revisions.c.deployment == deployment).order_by(revisions.c.number)
            rows = connection.execute(query).mappings().all()
        return [RevisionRow(**{**row, "state": RevisionState(row["state"])}) for row in rows]

    def find_revision(self, deployment: str, number: int | None) -> RevisionRow | None:
        """Return the revision with this number; None if there is none."""
        return next((one for one in self.list_revisions(deployment) if one.number == number), None)

    def next_revision(self, deployment: str) -> int:
        """Return the number for the next revision of a deployment; the caller must hold the deployment's lock."""
        with self.database.begin_read() as connection:
            newest = connection.scalar(select(func.max(revisions.c.number)).where(revisions.c.deployment == deployment))
        return (newest or 0) + 1

    def set_revision_state(self, deployment: str, number: int, state: RevisionState) -> None:
        """Record the state of a revision."""
        with self.database.begin_write() as connection:
            which = (revisions.c.deployment == deployment) & (revisions.c.number == number)
            connection.execute(update(revisions).where(which).values(state=str(state)))


def _lock_name(deployment: str) -> str:
    return f"deployment {deployment}"
