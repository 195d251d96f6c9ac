"""Histories: dataset metrics and check results, run after run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select

from engine.errors import Position
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.store.database import Database
from engine.store.metrics import finite, insert_metrics, metric_value, read_metrics
from engine.store.records import CheckPoint, DatasetMetricPoint, Remembered
from engine.store.tables import check_results, dataset_measurements, dataset_metrics


class History(Database):
    """What the runs found."""

    def add_dataset_metrics(
        self,
        dataset: str,
        fingerprint: str,
        values: Mapping[str, MetricValue],
        run: str | None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the metrics of a dataset, measured on what has that fingerprint; `facts` make the fingerprint."""
        row = insert(dataset_measurements).values(
            dataset=dataset, fingerprint=fingerprint, run=run, created=self.now(), facts=facts or {}
        )
        with self.writing() as connection:
            number = connection.scalars(row.returning(dataset_measurements.c.number)).one()
            insert_metrics(connection, dataset_metrics, "measurement", number, values)

    def dataset_metrics(self, dataset: str, fingerprint: str) -> dict[str, MetricValue] | None:
        """Return the metrics measured last on what has that fingerprint; None if it never was measured."""
        found = self._measured(dataset, dataset_measurements.c.fingerprint == fingerprint, last=1)
        return found[0] if found else None

    def dataset_facts(self, dataset: str, last: int) -> list[Remembered]:
        """Return what the fingerprints of the `last` measurements are made of, newest first."""
        query = select(dataset_measurements.c.facts).where(dataset_measurements.c.dataset == dataset)
        with self.reading() as connection:
            found = connection.scalars(query.order_by(dataset_measurements.c.number.desc()).limit(last)).all()
        return [Remembered(dataset, facts) for facts in found]

    def earlier_dataset_metrics(
        self, dataset: str, run: str | None, last: int | None = None
    ) -> list[dict[str, MetricValue]]:
        """Return the metrics (the `last` of them) that other runs than `run` measured, oldest first."""
        return self._measured(dataset, dataset_measurements.c.run.is_distinct_from(run), last)

    def dataset_metric_history(self, dataset: str, metric: str, last: int | None = None) -> list[DatasetMetricPoint]:
        """Return a metric of a dataset (the `last` values of it), oldest first."""
        query = (
            select(dataset_measurements, dataset_metrics)
            .join(dataset_metrics, dataset_metrics.c.measurement == dataset_measurements.c.number)
            .where(dataset_measurements.c.dataset == dataset, dataset_metrics.c.metric == metric)
            .order_by(dataset_measurements.c.number.desc())
            .limit(last)
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()[::-1]
        return [DatasetMetricPoint(row.run, row.created, row.fingerprint, metric_value(row)) for row in rows]

    def _measured(self, dataset: str, condition: ColumnElement[bool], last: int | None) -> list[dict[str, MetricValue]]:
        chosen = (
            select(dataset_measurements.c.number)
            .where(dataset_measurements.c.dataset == dataset, condition)
            .order_by(dataset_measurements.c.number.desc())
            .limit(last)
        )
        with self.reading() as connection:
            numbers = connection.scalars(chosen).all()[::-1]
            metrics = read_metrics(connection, dataset_metrics, "measurement", numbers)
        return [metrics[number] for number in numbers]

    def add_check_results(self, run: str | None, results: Sequence[CheckResult]) -> None:
        """Keep what the checks of a run found."""
        created = self.now()
        if results:
            with self.writing() as connection:
                connection.execute(
                    insert(check_results),
                    [
                        asdict(result) | {"run": run, "created": created, "value": finite(result.value)}
                        for result in results
                    ],
                )

    def check_outcomes(self, store: str) -> dict[str, dict[str, list[CheckOutcome]]]:
        """Return how the checks of an evaluation store ended when last applied: by evaluation, by check, each outcome.

        Of a wildcard check an outcome is there once, however many metrics had it.
        """
        place = (check_results.c.evaluation, check_results.c.check, check_results.c.created)
        query = (
            select(*place, check_results.c.outcome)
            .where(check_results.c.target == store, check_results.c.evaluation.is_not(None))
            .group_by(*place, check_results.c.outcome)
            .order_by(func.min(check_results.c.number))
        )
        found: dict[str, dict[str, list[CheckOutcome]]] = {}
        applied: dict[tuple[str, str], datetime] = {}
        with self.reading() as connection:
            for evaluation, check, created, outcome in connection.execute(query):
                if applied.get((evaluation, check)) != created:
                    applied[evaluation, check] = created
                    found.setdefault(evaluation, {})[check] = []
                found[evaluation][check].append(CheckOutcome(outcome))
        return found

    def check_history(
        self, target: str, check: str | None = None, last: int | None = None, *, evaluation: str | None = None
    ) -> list[CheckPoint]:
        """Return what the checks of a store or dataset found, oldest first.

        That check alone, the `last` results alone, those on the evaluation of that id alone.
        """
        query = select(check_results).where(check_results.c.target == target)
        if check is not None:
            query = query.where(check_results.c.check == check)
        if evaluation is not None:
            query = query.where(check_results.c.evaluation == evaluation)
        query = query.order_by(check_results.c.number.desc()).limit(last)
        with self.reading() as connection:
            rows = connection.execute(query).all()[::-1]
        return [
            CheckPoint(
                row.run,
                row.created,
                CheckResult(
                    target=row.target,
                    check=row.check,
                    metric=row.metric,
                    outcome=CheckOutcome(row.outcome),
                    counts_as=CheckOutcome(row.counts_as),
                    value=row.value,
                    bounds=row.bounds,
                    reason=row.reason,
                    position=position(row.position),
                    evaluation=row.evaluation,
                ),
            )
            for row in rows
        ]


def position(value: Mapping[str, int | str] | None) -> Position | None:
    """Read a spec position back."""
    return None if value is None else Position(**value)  # type: ignore[arg-type]  # JSON of asdict(Position)
