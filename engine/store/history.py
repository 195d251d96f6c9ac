"""The history of dataset metrics and check results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, func, insert, select

from engine.errors import Position
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.store.database import Database
from engine.store.metrics import insert_metrics, nan_to_none, read_metrics
from engine.store.records import CheckPoint, DatasetMeasurement, PastFacts
from engine.store.tables import check_results, dataset_measurements, dataset_metrics


class History(Database):
    """Dataset metrics and check results of all runs."""

    def add_dataset_metrics(
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
            dataset=dataset, fingerprint=fingerprint, run=run, created=measured or self.now(), facts=facts or {}
        )
        with self.begin_write() as connection:
            number = connection.scalars(row.returning(dataset_measurements.c.number)).one()
            insert_metrics(connection, dataset_metrics, "measurement", number, values)

    def find_dataset_metrics(self, dataset: str, fingerprint: str) -> tuple[dict[str, MetricValue], datetime] | None:
        """Return the metrics last measured on content with that fingerprint, and the moment of that, or None."""
        found = self._read_measurements(dataset, dataset_measurements.c.fingerprint == fingerprint, last=1)
        return found[0] if found else None

    def list_dataset_facts(self, dataset: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` measurements, newest first."""
        query = select(dataset_measurements.c.facts).where(dataset_measurements.c.dataset == dataset)
        with self.begin_read() as connection:
            found = connection.scalars(query.order_by(dataset_measurements.c.number.desc()).limit(last)).all()
        return [PastFacts(dataset, facts) for facts in found]

    def list_earlier_dataset_metrics(
        self, dataset: str, run: str | None, last: int | None = None
    ) -> list[dict[str, MetricValue]]:
        """Return the `last` measurements made by runs other than `run`, oldest first."""
        found = self._read_measurements(dataset, dataset_measurements.c.run.is_distinct_from(run), last)
        return [metrics for metrics, _ in found]

    def list_dataset_measurements(self, dataset: str) -> list[DatasetMeasurement]:
        """Return all measurements of a dataset, oldest first."""
        columns = (dataset_measurements.c[part] for part in ("number", "created", "run"))
        query = select(*columns).where(dataset_measurements.c.dataset == dataset)
        with self.begin_read() as connection:
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
        with self.begin_read() as connection:
            rows = connection.execute(chosen).all()[::-1]
            metrics = read_metrics(connection, dataset_metrics, "measurement", [row.number for row in rows])
        return [(metrics[row.number], row.created) for row in rows]

    def add_check_results(self, run: str | None, results: Sequence[CheckResult]) -> None:
        """Insert the check results of a run."""
        created = self.now()
        if results:
            with self.begin_write() as connection:
                connection.execute(
                    insert(check_results),
                    [{**_check_fields(result), "run": run, "created": created} for result in results],
                )

    def list_check_outcomes(self, store: str) -> dict[str, dict[str, list[CheckOutcome]]]:
        """Return the outcomes of the checks of an evaluation store when last applied, by evaluation id and check name.

        A wildcard check has several outcomes; each is listed once, however many metrics have it.
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
        with self.begin_read() as connection:
            for evaluation, check, created, outcome in connection.execute(query):
                if applied.get((evaluation, check)) != created:
                    applied[evaluation, check] = created
                    found.setdefault(evaluation, {})[check] = []
                found[evaluation][check].append(CheckOutcome(outcome))
        return found

    def list_check_points(
        self, target: str, check: str | None = None, last: int | None = None, *, evaluation: str | None = None
    ) -> list[CheckPoint]:
        """Return the check results of a store or dataset, oldest first.

        `check` and `evaluation` (an id) restrict them; `last` keeps only the newest.
        """
        query = select(check_results).where(check_results.c.target == target)
        if check is not None:
            query = query.where(check_results.c.check == check)
        if evaluation is not None:
            query = query.where(check_results.c.evaluation == evaluation)
        query = query.order_by(check_results.c.number.desc()).limit(last)
        with self.begin_read() as connection:
            rows = connection.execute(query).all()[::-1]
        return [CheckPoint(row.run, row.created, _check_from_row(row)) for row in rows]

    def list_run_checks(self, run: str) -> list[CheckResult]:
        """Return the check results of one run, oldest first."""
        query = select(check_results).where(check_results.c.run == run).order_by(check_results.c.number)
        with self.begin_read() as connection:
            return [_check_from_row(row) for row in connection.execute(query)]


def _check_from_row(row: Row[Any]) -> CheckResult:
    return CheckResult(
        target=row.target,
        check=row.check,
        metric=row.metric,
        outcome=CheckOutcome(row.outcome),
        counts_as=CheckOutcome(row.counts_as),
        value=row.value,
        bounds={key: bound for key, bound in row.bounds.items() if key != "detectable"},
        reason=row.reason,
        position=position_from_json(row.position),
        evaluation=row.evaluation,
        detectable=row.bounds.get("detectable") or {},
    )


def _check_fields(result: CheckResult) -> dict[str, Any]:
    """Return the columns of a check result; what was detectable is kept with the bounds that it belongs to."""
    fields = asdict(result) | {"value": nan_to_none(result.value)}
    detectable = fields.pop("detectable")
    return fields | ({"bounds": {**result.bounds, "detectable": detectable}} if detectable else {})


def position_from_json(value: Mapping[str, int | str] | None) -> Position | None:
    """Return the spec position that a JSON column holds."""
    return None if value is None else Position(**value)  # type: ignore[arg-type]  # JSON of asdict(Position)
