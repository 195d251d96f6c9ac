"""Histories: dataset metrics and check results, run after run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select

from engine.errors import Position
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.store.database import Database
from engine.store.evaluations import finite, measured, metric_value
from engine.store.records import CheckPoint, DatasetMetricPoint
from engine.store.tables import check_results, dataset_metrics


class History(Database):
    """What the runs found."""

    def add_dataset_metrics(
        self, dataset: str, fingerprint: str, values: Mapping[str, MetricValue], run: str | None
    ) -> None:
        """Keep the metrics of a dataset whose content has that fingerprint."""
        row: dict[str, Any] = {"dataset": dataset, "fingerprint": fingerprint, "run": run, "created": self.now()}
        if values:
            with self._write() as connection:
                connection.execute(
                    insert(dataset_metrics),
                    [row | {"metric": metric} | measured(value) for metric, value in values.items()],
                )

    def dataset_metric_history(self, dataset: str, metric: str, last: int | None = None) -> list[DatasetMetricPoint]:
        """Return a metric of a dataset (the `last` values of it), oldest first."""
        query = (
            select(dataset_metrics)
            .where(dataset_metrics.c.dataset == dataset, dataset_metrics.c.metric == metric)
            .order_by(dataset_metrics.c.number.desc())
            .limit(last)
        )
        with self._read() as connection:
            rows = connection.execute(query).all()[::-1]
        return [DatasetMetricPoint(row.run, row.created, row.fingerprint, metric_value(row)) for row in rows]

    def add_check_results(self, run: str | None, results: Sequence[CheckResult]) -> None:
        """Keep what the checks of a run found."""
        created = self.now()
        if results:
            with self._write() as connection:
                connection.execute(
                    insert(check_results),
                    [
                        asdict(result) | {"run": run, "created": created, "value": finite(result.value)}
                        for result in results
                    ],
                )

    def check_history(self, target: str, check: str, last: int | None = None) -> list[CheckPoint]:
        """Return what a check of a store or dataset found (the `last` results of it), oldest first."""
        query = (
            select(check_results)
            .where(check_results.c.target == target, check_results.c.check == check)
            .order_by(check_results.c.number.desc())
            .limit(last)
        )
        with self._read() as connection:
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
