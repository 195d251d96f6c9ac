"""The evaluations of a project: each is added atomically and never changed, and removals are recorded."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, cast, delete, func, insert, select, update

from engine.evaluation.evaluation_json import DETAILS, details_to_json, read_details
from engine.evaluation.record import Evaluation, EvaluationTime, Fingerprints
from engine.store.databases.database import Database, split_rows
from engine.store.databases.errors import build_store_error
from engine.store.evaluation_filter import HISTORY_ORDER, EvaluationFilter, read_origin
from engine.store.folders import Folders, safe_name
from engine.store.ids import read_matching_ids, shorten_id
from engine.store.metrics import insert_metrics, read_metrics
from engine.store.records.evaluations import MetricPoint, PastFacts, Removal
from engine.store.tables import check_results, evaluation_details, evaluation_metrics, evaluations, removals

EVALUATION_COLUMNS = (
    "id", "store", "name", "labels", "created", "engine_version", "kernel_version", "rows_read", "rows_used",
    "reference_rows", "model", "model_version", "run", "superseded_by", "same_data_as", "files_removed",
    "release", "revision", "origin", "infrastructure",
)  # fmt: skip
DETAIL_COLUMNS = tuple(column.name for column in evaluation_details.c if column.name != "evaluation")


class Evaluations:
    """The evaluations of all evaluation stores of a project.

    The history of a store is ordered by the times of its evaluations. Superseded evaluations and those pulled from
    deployments are found only by their id, or if a filter includes them.
    """

    def __init__(self, database: Database, folders: Folders) -> None:
        self._database = database
        self._folders = folders

    def add(self, evaluation: Evaluation, files: Path | None = None, *, supersedes: str | None = None) -> None:
        """Insert an evaluation. The folder `files` (from `staging`), if given, is moved into the state.

        `supersedes` is the id of the evaluation that it replaces in the history.
        """
        if files is None:
            with self._database.begin_write() as connection:
                insert_evaluation(connection, evaluation, supersedes)
            return
        with self._folders.adopt(files, lambda _: f"evaluations/{safe_name(evaluation.id)}") as (connection, _):
            insert_evaluation(connection, evaluation, supersedes)

    def folder_of(self, id: str) -> Path:  # noqa: A002  the field of Evaluation has this name
        """Return the folder of the evaluation's files; it does not exist for an evaluation without files."""
        return self._database.folder / "evaluations" / safe_name(id)

    def history(
        self,
        store: str,
        last: int | None = None,
        *,
        metrics: Sequence[str] | None = None,
        where: EvaluationFilter | None = None,
    ) -> list[Evaluation]:
        """Return the evaluations of a store (the `last` of them), oldest first.

        With `metrics`, only these metrics are read (`drift.*` means all columns, `*` all metrics), and no details.
        """
        conditions = [evaluations.c.store == store, *(where or EvaluationFilter()).build_conditions(store)]
        query = _sort_newest_first(select(evaluations).where(*conditions))
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

    def find_made(self, id: str) -> Evaluation | None:  # noqa: A002  the field of Evaluation has this name
        """Return the evaluation with this id if it was made in this state and not pulled, else None."""
        query = select(evaluations).where(evaluations.c.id == id, evaluations.c.origin.is_(None))
        return next(iter(self._read_evaluations(query)), None)

    def find_newest(
        self, store: str, where: EvaluationFilter | None = None, *, details: bool = True
    ) -> Evaluation | None:
        """Return the newest evaluation of a store that meets the conditions, with or without its details."""
        return next(iter(self.history(store, 1, metrics=None if details else ["*"], where=where)), None)

    def find_by_name(self, store: str, name: str, before: EvaluationTime | None = None) -> Evaluation | None:
        """Return the newest evaluation with that name, if possible one before the time `before`."""
        earlier = self.find_newest(store, EvaluationFilter(name=name, earlier_than=before)) if before else None
        return earlier or self.find_newest(store, EvaluationFilter(name=name))

    def find(self, store: str, fingerprints: Fingerprints) -> Evaluation | None:
        """Return the newest evaluation whose fingerprints are all equal to these, without its details."""
        return self.find_newest(store, EvaluationFilter(fingerprints=fingerprints), details=False)

    def find_ids(self, store: str, called: str | None = None) -> list[str]:
        """Return the ids that a text can mean: that of the newest evaluation with this name, else the ids matching it.

        None means the newest evaluation. There are several ids if the text is an ambiguous part of an id. Evaluations
        made in this state take precedence over pulled ones.
        """
        of = evaluations.c
        newest = _sort_newest_first(select(of.id).where(of.store == store))
        named = newest if called is None else newest.where(of.name == called)
        with self._database.begin_read() as connection:
            for mine in (read_origin() == "", read_origin() != ""):
                for current in (of.superseded_by.is_(None), *([of.superseded_by.is_not(None)] if called else [])):
                    if found := list(connection.scalars(named.where(mine, current).limit(1))):
                        return found
            return [] if called is None else read_matching_ids(connection, evaluations, called, of.store == store)

    def find_last_of(self, store: str, most: int, where: EvaluationFilter) -> str | None:
        """Return the id of the oldest of the `most` newest matching evaluations; None if there are fewer."""
        query = select(evaluations.c.id).where(evaluations.c.store == store, *where.build_conditions(store))
        with self._database.begin_read() as connection:
            found: str | None = connection.scalar(_sort_newest_first(query).offset(most - 1).limit(1))
        return found

    def is_newest(self, evaluation: Evaluation) -> bool:
        """Return whether no evaluation of its store has a later time; True for one without a declared time."""
        if evaluation.time is None:
            return True
        newest = self.history(evaluation.store, 1, metrics=[])
        return not newest or newest[0].order <= evaluation.order

    def list_names(self, store: str) -> list[str]:
        """Return the names of the evaluations of a store, each once, newest first."""
        made_here = (evaluations.c.store == store) & evaluations.c.origin.is_(None)
        names = select(evaluations.c.name).where(made_here).group_by(evaluations.c.name)
        timed, *later = HISTORY_ORDER
        newest = (func.max(column).desc() for column in (cast(timed, Integer), *later))
        with self._database.begin_read() as connection:
            return list(connection.scalars(names.order_by(*newest)))

    def name_ids(self, ids: Collection[str]) -> dict[str, str]:
        """Return the names of evaluations by id; removed evaluations are left out."""
        with self._database.begin_read() as connection:
            return {
                id_: name
                for some in split_rows(list(ids))
                for id_, name in connection.execute(
                    select(evaluations.c.id, evaluations.c.name).where(evaluations.c.id.in_(some))
                )
            }

    def count(self, store: str, where: EvaluationFilter | None = None, most: int | None = None) -> int:
        """Return the number of evaluations of a store, counted up to `most`."""
        conditions = (where or EvaluationFilter()).build_conditions(store)
        counted = (
            select(evaluations.c.number).where(evaluations.c.store == store, *conditions).limit(most).subquery("chosen")
        )
        with self._database.begin_read() as connection:
            return connection.scalars(select(func.count()).select_from(counted)).one()

    def mark_state(self) -> tuple[int | None, ...]:
        """Return a value that changes when evaluations or check results are added, or evaluations are removed."""
        numbers = (evaluations.c.number, removals.c.number, check_results.c.number)
        newest = (select(func.max(number)).scalar_subquery() for number in numbers)
        with self._database.begin_read() as connection:
            return tuple(connection.execute(select(*newest)).one())

    def list_facts(self, store: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` evaluations, newest first."""
        query = (
            select(evaluations.c.name, evaluation_details.c.facts)
            .join_from(evaluations, evaluation_details)
            .where(evaluations.c.store == store, evaluations.c.origin.is_(None))
        )
        with self._database.begin_read() as connection:
            return [
                PastFacts(*row) for row in connection.execute(query.order_by(evaluations.c.number.desc()).limit(last))
            ]

    def list_points(
        self, store: str, metrics: Sequence[str], last: int, where: EvaluationFilter | None = None
    ) -> dict[str, list[MetricPoint]]:
        """Return the values of metrics in the `last` evaluations, oldest first.

        Evaluations without a metric give no point for it.
        """
        conditions = (where or EvaluationFilter()).build_conditions(store)
        newest = _sort_newest_first(select(evaluations).where(evaluations.c.store == store, *conditions))
        of, measured = newest.limit(last).subquery("chosen").c, evaluation_metrics.c
        values = (measured.value, measured.low, measured.high)
        query = (
            select(measured.metric, of.id, of.name, of.time_start, *values, of.time_text)
            .join(evaluation_metrics, measured.evaluation == of.number)
            .where(measured.metric.in_(metrics))
            .order_by(*(of[column.name] for column in HISTORY_ORDER))
        )
        found: dict[str, list[MetricPoint]] = {metric: [] for metric in metrics}
        with self._database.begin_read() as connection:
            for metric, *point in connection.execute(query):
                found[metric].append(MetricPoint(*point))
        return found

    def remove(self, store: str, name: str, by: str) -> tuple[str, ...]:
        """Remove the evaluations with that name made in this state; record who removed them, and return their ids."""
        return self._remove_evaluations(store, [(evaluations.c.name == name) & evaluations.c.origin.is_(None)], by)

    def remove_ids(self, store: str, ids: Sequence[str], by: str, *, with_checks: bool = False) -> tuple[str, ...]:
        """Remove the evaluations with these ids and their files, and record who removed them. Return their ids.

        With `with_checks`, the results of their checks are removed too.
        """
        conditions = [evaluations.c.id.in_(some) for some in split_rows(ids)]
        return self._remove_evaluations(store, conditions, by, with_checks=with_checks)

    def remove_files(self, ids: Sequence[str]) -> None:
        """Remove the files of evaluations; their rows stay and record this."""
        with self._folders.remove() as (connection, paths):
            now = self._database.now()
            for some in split_rows(ids):
                connection.execute(update(evaluations).where(evaluations.c.id.in_(some)).values(files_removed=now))
            paths += [f"evaluations/{safe_name(each)}" for each in ids]

    def _remove_evaluations(
        self, store: str, conditions: Sequence[ColumnElement[bool]], by: str, *, with_checks: bool = False
    ) -> tuple[str, ...]:
        """Remove the evaluations that meet any of the conditions, in one transaction."""
        with self._folders.remove() as (connection, paths):
            found: list[Row[int, str, str]] = []
            for condition in conditions:
                chosen = (evaluations.c.store == store) & condition
                columns = select(evaluations.c.number, evaluations.c.name, evaluations.c.id).where(chosen)
                found += connection.execute(columns).all()
            if not found:
                return ()
            found.sort(key=lambda row: row.number)
            ids = tuple(row.id for row in found)
            now = self._database.now()
            by_name: dict[str, list[str]] = {}
            for row in found:
                by_name.setdefault(row.name, []).append(row.id)
            _restore_superseded(connection, ids)
            for some in split_rows(ids):
                connection.execute(delete(evaluations).where(evaluations.c.id.in_(some)))
                if with_checks:
                    connection.execute(delete(check_results).where(check_results.c.evaluation.in_(some)))
            connection.execute(
                insert(removals),
                [
                    {"store": store, "name": name, "evaluations": tuple(same), "by": by, "at": now}
                    for name, same in by_name.items()
                ],
            )
            paths += [f"evaluations/{safe_name(each)}" for each in ids]
        return ids

    def list_removals(self, store: str) -> list[Removal]:
        """Return the removals from a store, oldest first."""
        query = select(removals).where(removals.c.store == store).order_by(removals.c.number)
        with self._database.begin_read() as connection:
            return [
                Removal(row.store, row.name, tuple(row.evaluations), row.by, row.at)
                for row in connection.execute(query)
            ]

    def _read_evaluations(self, query: Select[Any], only: Sequence[str] | None = None) -> list[Evaluation]:
        details = DETAIL_COLUMNS if only is None else ()
        if details:
            query = query.join(evaluation_details).add_columns(*(evaluation_details.c[name] for name in details))
        with self._database.begin_read() as connection:
            rows = connection.execute(query).all()
            metrics = read_metrics(connection, evaluation_metrics, "evaluation", [row.number for row in rows], only)
        plain = [name for name in details if name not in DETAILS]
        found = [
            Evaluation(
                **{name: getattr(row, name) for name in (*EVALUATION_COLUMNS, *plain)},
                fingerprints=Fingerprints(
                    row.model_fingerprint,
                    row.dataset_fingerprint,
                    row.reference_fingerprint,
                    row.parameters_fingerprint,
                ),
                metrics=metrics[row.number],
                notes=tuple(row.notes),
                time=EvaluationTime(row.time_start, row.time_end, row.time_text) if row.timed else None,
            )
            for row in rows
        ]
        if only is not None:
            return found
        return [
            read_details(one, {name: getattr(row, name) for name in DETAILS})
            for one, row in zip(found, rows, strict=True)
        ]


def _sort_newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(*(column.desc() for column in HISTORY_ORDER))


def _restore_superseded(connection: Connection, removed: Sequence[str]) -> None:
    """Update the evaluations that removed ones had superseded: the successor of the removed one supersedes them now.

    Without a successor, they are in the history again.
    """
    of = evaluations.c
    for some in split_rows(removed):
        for id_ in connection.scalars(select(of.superseded_by).where(of.superseded_by.in_(some)).distinct()).all():
            successor = connection.scalar(select(of.superseded_by).where(of.id == id_))
            connection.execute(update(evaluations).where(of.superseded_by == id_).values(superseded_by=successor))


def insert_evaluation(connection: Connection, evaluation: Evaluation, supersedes: str | None = None) -> None:
    """Insert an evaluation with its details and metrics; `supersedes` is the id of the one that it replaces."""
    row = {name: getattr(evaluation, name) for name in EVALUATION_COLUMNS}
    row |= {f"{part}_fingerprint": value for part, value in asdict(evaluation.fingerprints).items()}
    row |= {"notes": evaluation.notes, "short_id": shorten_id(evaluation.id)}
    row |= {"timed": evaluation.time is not None, "time_start": evaluation.moment}
    if evaluation.time is not None:
        row |= {"time_end": evaluation.time.end, "time_text": evaluation.time.text}
    if supersedes is not None:
        old = update(evaluations).where(evaluations.c.id == supersedes)
        connection.execute(old.values(superseded_by=evaluation.id))
    number = connection.scalars(insert(evaluations).values(row).returning(evaluations.c.number)).one()
    details = details_to_json(evaluation) | {"left_out": evaluation.left_out, "facts": evaluation.facts}
    connection.execute(insert(evaluation_details).values(evaluation=number, **details))
    insert_metrics(connection, evaluation_metrics, "evaluation", number, evaluation.metrics)
