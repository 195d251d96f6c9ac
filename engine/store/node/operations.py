"""The operations on the deployments of an infrastructure: their states, steps and events."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select, update

from engine.store.ids import generate_id
from engine.store.node.node_database import NodeDatabase
from engine.store.node.records import (
    ENDS,
    OperationEvent,
    OperationKind,
    OperationRow,
    OperationState,
    OperationStep,
    RevisionState,
)
from engine.store.node.tables import deployments, operation_events, operation_steps, operations, revisions


class Operations:
    """The operations of an infrastructure. They are removed only with their deployment."""

    def __init__(self, database: NodeDatabase) -> None:
        self._database = database

    def begin(
        self, deployment: str, kind: OperationKind, from_revision: int | None, revision: dict[str, Any], by: str,
        key: str | None = None, *, again: bool = False, now: bool = False,
    ) -> OperationRow:  # fmt: skip
        """Record an operation together with the revision that it will activate."""
        started = self._database.now()
        id_ = generate_id(started)
        values = {
            "id": id_, "key": key or id_, "deployment": deployment, "kind": kind, "from": from_revision,
            "to": revision["number"], "state": str(OperationState.REQUESTED), "by": by, "started": started,
            "reason": "", "again": again, "now": now,
        }  # fmt: skip
        with self._database.begin_write() as connection:
            connection.execute(insert(revisions).values(revision))
            connection.execute(insert(operations).values(values))
            return _read_operation(connection, operations.c.id == id_)

    def advance(self, operation: OperationRow, state: OperationState, reason: str = "") -> None:
        """Record the state of an operation, with the time if it is an end."""
        ended = self._database.now() if state in ENDS else None
        with self._database.begin_write() as connection:
            values = {"state": str(state), "reason": reason, "ended": ended}
            connection.execute(update(operations).where(operations.c.number == operation.number).values(values))

    def activate(self, operation: OperationRow, *, enabled: bool) -> None:
        """Record in one transaction that the revision of an operation is active."""
        with self._database.begin_write() as connection:
            connection.execute(
                update(operations)
                .where(operations.c.number == operation.number)
                .values(state=str(OperationState.ACTIVE))
            )
            connection.execute(
                update(deployments)
                .where(deployments.c.name == operation.deployment)
                .values(active_revision=operation.to_revision, enabled=enabled)
            )

    def conclude(
        self, operation: OperationRow, state: OperationState, revision_state: RevisionState, reason: str = "",
        **of_deployment: Any,
    ) -> OperationRow:  # fmt: skip
        """Record in one transaction the end of an operation, the state of its revision and deployment changes.

        Return the concluded operation.
        """
        with self._database.begin_write() as connection:
            connection.execute(
                update(operations)
                .where(operations.c.number == operation.number)
                .values(state=str(state), reason=reason, ended=self._database.now())
            )
            which = (revisions.c.deployment == operation.deployment) & (revisions.c.number == operation.to_revision)
            connection.execute(update(revisions).where(which).values(state=str(revision_state)))
            if of_deployment:
                connection.execute(
                    update(deployments).where(deployments.c.name == operation.deployment).values(**of_deployment)
                )
        return self.get(operation.id)

    def add_step(self, operation: OperationRow, name: str, started: datetime, log: str = "", problem: str = "") -> None:
        """Record a step of an operation."""
        with self._database.begin_write() as connection:
            place = connection.scalar(select(func.count()).where(operation_steps.c.operation == operation.number))
            values = {
                "operation": operation.number, "place": place, "name": name, "started": started,
                "ended": self._database.now(), "log": log, "problem": problem,
            }  # fmt: skip
            connection.execute(insert(operation_steps).values(values))

    def add_event(self, operation: OperationRow, text: str) -> None:
        """Record a message of a running operation; only the process that works on the operation may call this."""
        with self._database.begin_write() as connection:
            newest = connection.scalar(
                select(func.max(operation_events.c.number)).where(operation_events.c.operation == operation.number)
            )
            values = {"operation": operation.number, "number": (newest or 0) + 1, "at": self._database.now()}
            connection.execute(insert(operation_events).values(values | {"text": text}))

    def list_events(self, operation: OperationRow, after: int = 0) -> list[OperationEvent]:
        """Return the messages of an operation after the event number `after`, in order."""
        with self._database.begin_read() as connection:
            query = select(operation_events.c.number, operation_events.c.at, operation_events.c.text).where(
                operation_events.c.operation == operation.number, operation_events.c.number > after
            )
            return [OperationEvent(*row) for row in connection.execute(query.order_by(operation_events.c.number))]

    def list_all(self, deployment: str) -> list[OperationRow]:
        """Return the operations on a deployment, oldest first, with their steps."""
        with self._database.begin_read() as connection:
            query = select(operations).where(operations.c.deployment == deployment).order_by(operations.c.number)
            return [_build_operation(connection, row) for row in connection.execute(query).mappings()]

    def list_open(self, deployment: str | None = None) -> list[OperationRow]:
        """Return the operations without an end, of one deployment or of all.

        They are running, or their process was killed; only the holder of the deployment's lock knows which.
        """
        with self._database.begin_read() as connection:
            query = select(operations).where(operations.c.ended.is_(None)).order_by(operations.c.number)
            if deployment is not None:
                query = query.where(operations.c.deployment == deployment)
            return [_build_operation(connection, row) for row in connection.execute(query).mappings()]

    def find_newest(self, deployment: str) -> OperationRow | None:
        """Return the newest operation on a deployment; None if there is none."""
        return next(reversed(self.list_all(deployment)), None)

    def get(self, id_: str) -> OperationRow:
        """Return an operation by its id."""
        with self._database.begin_read() as connection:
            return _read_operation(connection, operations.c.id == id_)

    def find(self, id_: str) -> OperationRow | None:
        """Return the operation with this id; None if there is none."""
        return self._find(operations.c.id == id_)

    def find_by_key(self, key: str) -> OperationRow | None:
        """Return the operation with this key; None if there is none."""
        return self._find(operations.c.key == key)

    def _find(self, condition: ColumnElement[bool]) -> OperationRow | None:
        with self._database.begin_read() as connection:
            row = connection.execute(select(operations).where(condition)).mappings().first()
            return None if row is None else _build_operation(connection, row)


def _read_operation(connection: Connection, condition: Any) -> OperationRow:
    return _build_operation(connection, connection.execute(select(operations).where(condition)).mappings().one())


def _build_operation(connection: Connection, row: RowMapping) -> OperationRow:
    values = dict(row)
    steps = connection.execute(
        select(operation_steps).where(operation_steps.c.operation == row["number"]).order_by(operation_steps.c.place)
    ).mappings()
    names = ("name", "started", "ended", "problem", "log")
    values["from_revision"], values["to_revision"] = values.pop("from"), values.pop("to")
    values["state"] = OperationState(values["state"])
    return OperationRow(**values, steps=tuple(OperationStep(**{name: one[name] for name in names}) for one in steps))
