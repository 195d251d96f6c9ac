"""Evaluations: rows are only appended, each whole or not at all; a removal is recorded."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select

from engine.evaluation.evaluation_json import DETAILS, details_to_json, read_details
from engine.evaluation.record import Evaluation, Fingerprints
from engine.store.database import Database
from engine.store.errors import build_store_error
from engine.store.folders import Folders, safe_name
from engine.store.locks import hold_file_lock
from engine.store.metrics import insert_metrics, read_metrics
from engine.store.records import MetricPoint, PastFacts, Removal
from engine.store.tables import evaluation_metrics, evaluations, removals, unfinished_folders

EVALUATION_COLUMNS = (
    "id", "store", "name", "labels", "created", "engine_version", "kernel_version", "rows_read", "rows_used",
    "reference_rows", "left_out", "model", "model_version", "run", "facts",
)  # fmt: skip
DETAIL_COLUMNS = (*DETAILS, "left_out", "facts")


class Evaluations:
    """The evaluations of all evaluation stores of a project."""

    def __init__(self, database: Database, folders: Folders) -> None:
        self._database = database
        self._folders = folders

    def add(self, evaluation: Evaluation, files: Path | None = None) -> None:
        """Insert an evaluation. The folder `files` (from `staging`), if given, is moved into the state."""
        if files is None:
            with self._database.begin_write() as connection:
                _insert_evaluation(connection, evaluation)
            return
        with self._folders.adopt(files, lambda _: f"evaluations/{safe_name(evaluation.id)}") as (connection, _):
            _insert_evaluation(connection, evaluation)

    def folder_of(self, id: str) -> Path:  # noqa: A002  the field of Evaluation has this name
        """Return the folder of the evaluation's files; it does not exist for an evaluation without files."""
        return self._database.folder / "evaluations" / safe_name(id)

    def history(self, store: str, last: int | None = None, *, metrics: Sequence[str] | None = None) -> list[Evaluation]:
        """Return the evaluations of a store (the `last` of them), oldest first.

        With `metrics`, only these metrics are read (`drift.*` stands for every column), and no details.
        """
        query = select(evaluations).where(evaluations.c.store == store).order_by(evaluations.c.number.desc())
        return self._read_evaluations(query.limit(last), metrics)[::-1]

    def get(self, id: str) -> Evaluation:  # noqa: A002  the field of Evaluation has this name
        """Return one evaluation.

        Raises
        ------
        StoreError
            There is no evaluation with that id.
        """
        found = self._read_evaluations(select(evaluations).where(evaluations.c.id == id))
        if not found:
            raise build_store_error(
                self._database.folder,
                f"there is no evaluation {id}",
                "list the evaluations with `engine show SPEC STORE`",
            )
        return found[0]

    def find_newest(self, store: str) -> Evaluation | None:
        """Return the newest evaluation of a store."""
        return next(iter(self.history(store, last=1)), None)

    def find_by_name(self, store: str, name: str) -> Evaluation | None:
        """Return the newest evaluation with that name."""
        return self._find_newest(store, evaluations.c.name == name)

    def find(self, store: str, fingerprints: Fingerprints) -> Evaluation | None:
        """Return the newest evaluation whose fingerprints are all equal to these."""
        columns = (evaluations.c[f"{part}_fingerprint"] == value for part, value in asdict(fingerprints).items())
        return self._find_newest(store, *columns)

    def list_facts(self, store: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` evaluations, newest first."""
        query = select(evaluations.c.name, evaluations.c.facts).where(evaluations.c.store == store)
        with self._database.begin_read() as connection:
            return [
                PastFacts(*row) for row in connection.execute(query.order_by(evaluations.c.number.desc()).limit(last))
            ]

    def metric_history(self, store: str, metric: str, last: int | None = None) -> list[MetricPoint]:
        """Return the values of a metric in the `last` evaluations that have it, oldest first."""
        query = (
            select(
                evaluations.c.id,
                evaluations.c.name,
                evaluations.c.created,
                *(evaluation_metrics.c[part] for part in ("value", "low", "high")),
            )
            .join(evaluation_metrics, evaluation_metrics.c.evaluation == evaluations.c.number)
            .where(evaluations.c.store == store, evaluation_metrics.c.metric == metric)
            .order_by(evaluations.c.number.desc())
            .limit(last)
        )
        with self._database.begin_read() as connection:
            return [MetricPoint(*row) for row in connection.execute(query)][::-1]

    def remove(self, store: str, name: str, by: str) -> tuple[str, ...]:
        """Remove the evaluations with that name and their files, and record who removed them. Return their ids."""
        return self._remove_evaluations(store, evaluations.c.name == name, by)

    def remove_ids(self, store: str, ids: Sequence[str], by: str) -> tuple[str, ...]:
        """Remove the evaluations with these ids and their files, and record who removed them. Return their ids."""
        return self._remove_evaluations(store, evaluations.c.id.in_(ids), by)

    def _remove_evaluations(self, store: str, condition: ColumnElement[bool], by: str) -> tuple[str, ...]:
        with hold_file_lock(self._database.folder, "files", shared=True):
            chosen = (evaluations.c.store == store) & condition
            named = select(evaluations.c.name, evaluations.c.id).where(chosen).order_by(evaluations.c.number)
            with self._database.begin_write() as connection:
                found = connection.execute(named).all()
                ids = tuple(row.id for row in found)
                if not ids:
                    return ()
                now = self._database.now()
                by_name: dict[str, list[str]] = {}
                for row in found:
                    by_name.setdefault(row.name, []).append(row.id)
                # The paths are recorded in the transaction that deletes the rows: if this process is killed before the
                # folders are gone, the next opening removes them.
                paths = [f"evaluations/{safe_name(each)}" for each in ids]
                connection.execute(insert(unfinished_folders), [{"path": path} for path in paths])
                connection.execute(delete(evaluations).where(chosen))
                connection.execute(
                    insert(removals),
                    [
                        {"store": store, "name": name, "evaluations": tuple(same), "by": by, "at": now}
                        for name, same in by_name.items()
                    ],
                )
            for path in paths:
                self._folders.discard(path)
        return ids

    def list_removals(self, store: str) -> list[Removal]:
        """Return the removals from a store, oldest first."""
        query = select(removals).where(removals.c.store == store).order_by(removals.c.number)
        with self._database.begin_read() as connection:
            return [
                Removal(row.store, row.name, tuple(row.evaluations), row.by, row.at)
                for row in connection.execute(query)
            ]

    def _find_newest(self, store: str, *conditions: Any) -> Evaluation | None:
        query = select(evaluations).where(evaluations.c.store == store, *conditions)
        return next(iter(self._read_evaluations(query.order_by(evaluations.c.number.desc()).limit(1))), None)

    def _read_evaluations(self, query: Select[Any], only: Sequence[str] | None = None) -> list[Evaluation]:
        skipped = () if only is None else DETAIL_COLUMNS
        query = query.with_only_columns(*(column for column in evaluations.c if column.name not in skipped))
        with self._database.begin_read() as connection:
            rows = connection.execute(query).all()
            metrics = read_metrics(connection, evaluation_metrics, "evaluation", [row.number for row in rows], only)
        found = [
            Evaluation(
                **{name: getattr(row, name) for name in EVALUATION_COLUMNS if name not in skipped},
                fingerprints=Fingerprints(
                    row.model_fingerprint,
                    row.dataset_fingerprint,
                    row.reference_fingerprint,
                    row.parameters_fingerprint,
                ),
                metrics=metrics[row.number],
                notes=tuple(row.notes),
            )
            for row in rows
        ]
        if only is not None:
            return found
        return [
            read_details(one, {name: getattr(row, name) for name in DETAILS})
            for one, row in zip(found, rows, strict=True)
        ]


def _insert_evaluation(connection: Connection, evaluation: Evaluation) -> None:
    row = {name: getattr(evaluation, name) for name in EVALUATION_COLUMNS} | details_to_json(evaluation)
    row |= {f"{part}_fingerprint": value for part, value in asdict(evaluation.fingerprints).items()}
    made = insert(evaluations).values(**row, notes=evaluation.notes).returning(evaluations.c.number)
    number = connection.scalars(made).one()
    insert_metrics(connection, evaluation_metrics, "evaluation", number, evaluation.metrics)
