"""The metrics of datasets, as they were measured once; unchanged data are not measured again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, true

from engine.evaluation.record import MetricValue
from engine.store.databases.database import Database
from engine.store.metrics import insert_metrics, read_metrics
from engine.store.records.datasets import DatasetMeasurement
from engine.store.records.evaluations import PastFacts
from engine.store.tables import dataset_measurements, dataset_metrics


class Measurements:
    """The metrics of datasets, as they were measured."""

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
        """Insert the metrics of a dataset with that fingerprint, which is made of `facts`.

        `measured` is the moment that they describe; by default now.
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
        """Return the metrics last measured on content with that fingerprint, and the moment of that, or None."""
        found = self._read_measurements(dataset, dataset_measurements.c.fingerprint == fingerprint, last=1)
        return found[0] if found else None

    def list_facts(self, dataset: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` measurements, newest first."""
        query = select(dataset_measurements.c.facts).where(dataset_measurements.c.dataset == dataset)
        with self._database.begin_read() as connection:
            found = connection.scalars(query.order_by(dataset_measurements.c.number.desc()).limit(last)).all()
        return [PastFacts(dataset, facts) for facts in found]

    def find_first(self, dataset: str, content: str) -> tuple[int, datetime] | None:
        """Return number and moment of the first of the latest measurements, if those are all of the same content.

        Parameters
        ----------
        content
            The fingerprint of the dataset's content.
        """
        of = dataset_measurements.c
        measured = of.facts["datasets", dataset, "fingerprint"].as_string()
        other = select(of.number).where(of.dataset == dataset, measured.is_distinct_from(content))
        last_other = other.order_by(of.number.desc()).limit(1).scalar_subquery()
        query = select(of.number, of.created).where(of.dataset == dataset, of.number > func.coalesce(last_other, 0))
        with self._database.begin_read() as connection:
            found = connection.execute(query.order_by(of.number).limit(1)).first()
        return (found.number, found.created) if found else None

    def list_earlier(
        self,
        dataset: str,
        run: str | None,
        last: int | None = None,
        *,
        since: datetime | None = None,
        before: int | None = None,
    ) -> list[tuple[dict[str, MetricValue], datetime]]:
        """Return the `last` measurements by runs other than `run`, and all since a moment, each with when it was made.

        They are in the order in which they were made; all of them without `last`. With `before`, only those of smaller
        numbers.
        """
        of = dataset_measurements.c
        others = of.run.is_distinct_from(run) & (true() if before is None else of.number < before)
        if since is not None:
            recent = self._read_measurements(dataset, others & (of.created >= since), None)
            if last is not None and len(recent) >= last:
                return recent
        return self._read_measurements(dataset, others, last)

    def history(self, dataset: str) -> list[DatasetMeasurement]:
        """Return all measurements of a dataset, oldest first."""
        columns = (dataset_measurements.c[part] for part in ("number", "created", "run"))
        query = select(*columns).where(dataset_measurements.c.dataset == dataset)
        with self._database.begin_read() as connection:
            rows = connection.execute(query.order_by(dataset_measurements.c.number)).all()
            metrics = read_metrics(connection, dataset_metrics, "measurement", [row.number for row in rows])
        return [DatasetMeasurement(row.created, row.run, metrics[row.number]) for row in rows]

    def _read_measurements(
        self, dataset: str, condition: ColumnElement[bool], last: int | None
    ) -> list[tuple[dict[str, MetricValue], datetime]]:
        chosen = (
            select(dataset_measurements.c.number, dataset_measurements.c.created)
            .where(dataset_measurements.c.dataset == dataset, condition)
            .order_by(dataset_measurements.c.number.desc())
            .limit(last)
        )
        with self._database.begin_read() as connection:
            rows = connection.execute(chosen).all()[::-1]
            metrics = read_metrics(connection, dataset_metrics, "measurement", [row.number for row in rows])
        return [(metrics[row.number], row.created) for row in rows]
