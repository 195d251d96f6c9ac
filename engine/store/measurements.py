"""The measured metrics of datasets; unchanged data are not measured again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select, true

from engine.evaluation.record import MetricValue
from engine.store.databases.database import Database
from engine.store.metrics import insert_metrics, read_metrics
from engine.store.records.datasets import DatasetMeasurement, unite_measurements
from engine.store.records.evaluations import PastFacts
from engine.store.tables import dataset_measurements, dataset_metrics

_ROWS_AT_ONCE = 100
"""Measurements that are fetched at once if it is not known how many are needed."""


def read_content(dataset: str) -> ColumnElement[str]:
    """Return an SQL expression for the content fingerprint of the measured dataset; null if it was not recorded."""
    content: ColumnElement[str] = dataset_measurements.c.facts["datasets", dataset, "fingerprint"].as_string()
    return content


class Measurements:
    """The measured metrics of all datasets of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        dataset: str,
        fingerprint: str,
        values: Mapping[str, MetricValue],
        run: str | None,
        facts: Mapping[str, Any] | None = None,
        measured: datetime | None = None,
    ) -> None:
        """Insert the metrics of a dataset with this fingerprint, which is the digest of `facts`.

        `measured` is the moment of the measurement; by default now.
        """
        row = insert(dataset_measurements).values(
            dataset=dataset,
            fingerprint=fingerprint,
            run=run,
            created=measured or self._database.now(),
            facts=facts or {},
        )
        with self._database.begin_write() as connection:
            number = connection.scalars(row.returning(dataset_measurements.c.number)).one()
            insert_metrics(connection, dataset_metrics, "measurement", number, values)

    def find(self, dataset: str, fingerprint: str) -> tuple[dict[str, MetricValue], datetime] | None:
        """Return the last metrics measured on content with this fingerprint, and when they were measured, or None."""
        of = dataset_measurements.c
        found = self._read_history(dataset, of.fingerprint == fingerprint, last=1)
        return (dict(found[0].metrics), found[0].created) if found else None

    def list_facts(self, dataset: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` measurements, newest first."""
        query = select(dataset_measurements.c.facts).where(dataset_measurements.c.dataset == dataset)
        with self._database.begin_read() as connection:
            found = connection.scalars(query.order_by(dataset_measurements.c.number.desc()).limit(last)).all()
        return [PastFacts(dataset, facts) for facts in found]

    def find_first(self, dataset: str, content: str) -> tuple[int, datetime] | None:
        """Return number and moment of the first of the consecutive latest measurements of this content, or None.

        Parameters
        ----------
        content
            The fingerprint of the dataset's content.
        """
        of = dataset_measurements.c
        other = select(of.number).where(of.dataset == dataset, read_content(dataset).is_distinct_from(content))
        last_other = other.order_by(of.number.desc()).limit(1).scalar_subquery()
        query = select(of.number, of.created).where(of.dataset == dataset, of.number > func.coalesce(last_other, 0))
        with self._database.begin_read() as connection:
            found = connection.execute(query.order_by(of.number).limit(1)).first()
        return (found.number, found.created) if found else None

    def find_newest(self, dataset: str) -> int | None:
        """Return the number of the newest measurement of a dataset; None if there is none."""
        query = select(func.max(dataset_measurements.c.number)).where(dataset_measurements.c.dataset == dataset)
        with self._database.begin_read() as connection:
            newest: int | None = connection.scalar(query)
        return newest

    def list_earlier(
        self,
        dataset: str,
        run: str | None,
        last: int | None = None,
        *,
        since: datetime | None = None,
        before: int | None = None,
        same_data_once: bool = False,
    ) -> list[DatasetMeasurement]:
        """Return the `last` measurements by runs other than `run`, and all others since a moment, oldest first.

        If `run` is None, measurements of all runs and outside of runs are returned; if `last` is None, all. `before` is
        an exclusive upper bound for their numbers. With `same_data_once`, the measurements of unchanged data are united
        by `unite_measurements`.
        """
        of = dataset_measurements.c
        others = true() if run is None else of.run.is_distinct_from(run)
        others &= true() if before is None else of.number < before
        return self._read_history(dataset, others, last, since, same_data_once=same_data_once)

    def history(self, dataset: str, *, same_data_once: bool = False) -> list[DatasetMeasurement]:
        """Return all measurements of a dataset, oldest first; see `list_earlier`."""
        return self._read_history(dataset, true(), same_data_once=same_data_once)

    def _read_history(
        self,
        dataset: str,
        condition: ColumnElement[bool],
        last: int | None = None,
        since: datetime | None = None,
        *,
        same_data_once: bool = False,
    ) -> list[DatasetMeasurement]:
        of = dataset_measurements.c
        query = (
            select(of.number, of.created, of.run, read_content(dataset).label("content"))
            .where(of.dataset == dataset, condition)
            .order_by(of.number.desc())
        )
        units: list[list[Row[Any]]] = []  # the newest first, also in each
        with self._database.begin_read() as connection:
            with connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
                for row in rows:
                    if same_data_once and units and row.content is not None and row.content == units[-1][0].content:
                        units[-1].append(row)
                    elif last is None or len(units) < last or (since is not None and row.created >= since):
                        units.append([row])
                    else:
                        break
            numbers = [row.number for unit in units for row in unit]
            metrics = read_metrics(connection, dataset_metrics, "measurement", numbers)
        return [
            unite_measurements([DatasetMeasurement(row.created, row.run, metrics[row.number]) for row in unit[::-1]])
            for unit in units[::-1]
        ]
