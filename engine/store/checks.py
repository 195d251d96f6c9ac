"""The results of checks, applied by runs or outside of runs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, insert, select

from engine.errors import Position
from engine.evaluation.bounds import CheckBounds, bounds_from_json
from engine.evaluation.evaluation_json import check_to_json
from engine.evaluation.record import CheckMute, CheckResult
from engine.outcome import CheckOutcome
from engine.store.databases.database import Database, split_rows
from engine.store.evaluation_filter import HISTORY_ORDER, EvaluationFilter
from engine.store.metrics import nan_to_none
from engine.store.records.evaluations import CheckPoint
from engine.store.tables import check_results, evaluations


class Checks:
    """The results of all checks of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: str | None, results: Sequence[CheckResult]) -> None:
        """Insert the check results of a run."""
        created = self._database.now()
        if results:
            with self._database.begin_write() as connection:
                insert_check_results(connection, [CheckPoint(run, created, result) for result in results])

    def list_outcomes(self, store: str, only: Sequence[str] | None = None) -> dict[str, dict[str, list[CheckOutcome]]]:
        """Return the latest outcomes of the checks of an evaluation store, by evaluation id and check name.

        With `only`, those of the evaluations with these ids. A wildcard check has a list of its different outcomes.
        """
        results = check_results.c
        names = ("evaluation", "check", "created", "outcome")
        every = select(results.number, *(results[name] for name in names)).where(results.target == store)
        of = results.evaluation
        conditions = [of.is_not(None)] if only is None else [of.in_(some) for some in split_rows(only)]
        found: dict[str, dict[str, list[CheckOutcome]]] = {}
        applied: dict[tuple[str, str], datetime] = {}
        with self._database.begin_read() as connection:
            rows = (row for some in conditions for row in connection.execute(_list_distinct(every.where(some), names)))
            for evaluation, check, created, outcome in rows:
                if applied.get((evaluation, check)) != created:
                    applied[evaluation, check] = created
                    found.setdefault(evaluation, {})[check] = []
                found[evaluation][check].append(CheckOutcome(outcome))
        return found

    def list_bounds(
        self, store: str, metrics: Sequence[str], only: Sequence[str]
    ) -> dict[tuple[str, str], list[CheckBounds | None]]:
        """Return the allowed ranges of metrics when checks were last applied to the evaluations with these ids.

        The keys are evaluation id and metric; each list has one entry per check.
        """
        results = check_results.c
        query = select(results.number, results.evaluation, results.metric, results.check, results.bounds).where(
            results.target == store, results.metric.in_(metrics)
        )
        found: dict[tuple[str, str], dict[str, CheckBounds | None]] = {}
        with self._database.begin_read() as connection:
            for some in split_rows(only):
                # sorted here: with ORDER BY, SQLite would choose the index of that order and read the whole history
                rows = sorted(connection.execute(query.where(results.evaluation.in_(some))), key=lambda row: row.number)
                for _, evaluation, metric, check, bounds in rows:
                    found.setdefault((evaluation, metric), {})[check] = bounds_from_json(bounds)
        return {place: list(by_check.values()) for place, by_check in found.items()}

    def find_last_ok(self, store: str, before: str, origin: str | None = None) -> str | None:
        """Return the id of the newest evaluation before another one whose checks were all OK when last applied.

        Evaluations without check results are left out; EMPTY counts as OK. Both evaluations have the same origin.
        """
        last, later = check_results.alias("last"), check_results.alias("later")
        replaced = exists().where(
            later.c.target == store,
            later.c.evaluation == last.c.evaluation,
            later.c.check == last.c.check,
            later.c.created > last.c.created,
        )
        bad = exists().where(
            last.c.target == store,
            last.c.evaluation == evaluations.c.id,
            last.c.outcome.in_([CheckOutcome.WARNING, CheckOutcome.ERROR]),
            ~replaced,
        )
        judged = exists().where(check_results.c.target == store, check_results.c.evaluation == evaluations.c.id)
        earlier = EvaluationFilter(before=before, origin=origin).build_conditions(store)
        query = select(evaluations.c.id).where(evaluations.c.store == store, *earlier, judged, ~bad)
        newest_first = (column.desc() for column in HISTORY_ORDER)
        with self._database.begin_read() as connection:
            found: str | None = connection.scalar(query.order_by(*newest_first).limit(1))
        return found

    def have_judged(self, store: str, other_than: str, origin: str | None = None) -> bool:
        """Return whether checks were ever applied to another evaluation of a store and origin.

        Check results of an evaluation that has been removed since count as made in this state.
        """
        results = check_results.c
        mine = ~_is_of_pulled() if origin is None else _is_of_pulled(evaluations.c.origin == origin)
        judged = select(results.number).where(results.target == store, results.evaluation != other_than, mine)
        with self._database.begin_read() as connection:
            return connection.scalar(judged.limit(1)) is not None

    def history(
        self, target: str, check: str | None = None, last: int | None = None, *, evaluation: str | None = None
    ) -> list[CheckPoint]:
        """Return the check results of a store or dataset, oldest first.

        `check` and `evaluation` (an id) restrict them; `last` keeps only the newest. Results of evaluations that were
        pulled from a deployment are returned only if `evaluation` is given.
        """
        query = select(check_results).where(check_results.c.target == target)
        if evaluation is None:
            query = query.where(~_is_of_pulled())
        if check is not None:
            query = query.where(check_results.c.check == check)
        if evaluation is not None:
            query = query.where(check_results.c.evaluation == evaluation)
        query = query.order_by(check_results.c.number.desc()).limit(last)
        with self._database.begin_read() as connection:
            rows = connection.execute(query).all()[::-1]
        return [CheckPoint(row.run, row.created, _check_from_row(row)) for row in rows]

    def list_of_run(self, run: str) -> list[CheckResult]:
        """Return the check results of one run, oldest first."""
        query = select(check_results).where(check_results.c.run == run).order_by(check_results.c.number)
        with self._database.begin_read() as connection:
            return [_check_from_row(row) for row in connection.execute(query)]


def _list_distinct(query: Select[Any], names: Sequence[str]) -> Select[Any]:
    """Return a query for the distinct values of these columns in the rows of a query, oldest first.

    The huge LIMIT has no effect on the result: it keeps SQLite from using the index of the grouping, which would read
    the whole table.
    """
    of = query.limit(2**62).subquery("chosen").c
    columns = [of[name] for name in names]
    return select(*columns).group_by(*columns).order_by(func.min(of.number))


def insert_check_results(connection: Connection, points: Sequence[CheckPoint]) -> None:
    """Insert results of checks, in their order."""
    rows = [{**_check_fields(one.result), "run": one.run, "created": one.created} for one in points]
    if rows:
        connection.execute(insert(check_results), rows)


def _is_of_pulled(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that a result belongs to a pulled evaluation that meets these conditions."""
    of = evaluations.c
    return exists().where(of.id == check_results.c.evaluation, of.origin.is_not(None), *conditions)


def _check_from_row(row: Row[Any]) -> CheckResult:
    return CheckResult(
        target=row.target,
        check=row.check,
        metric=row.metric,
        outcome=CheckOutcome(row.outcome),
        counts_as=CheckOutcome(row.counts_as),
        value=row.value,
        bounds=bounds_from_json(row.bounds),
        reason=row.reason,
        position=position_from_json(row.position),
        evaluation=row.evaluation,
        detectable=row.bounds.get("detectable") or {},
        mute=row.mute and CheckMute(**{**row.mute, "until": datetime.fromisoformat(row.mute["until"])}),
    )


def _check_fields(result: CheckResult) -> dict[str, Any]:
    """Return the columns of a check result; `detectable` is stored inside the column of the bounds."""
    fields = check_to_json(result) | {"value": nan_to_none(result.value)}
    detectable = fields.pop("detectable")
    return fields | ({"bounds": {**fields["bounds"], "detectable": detectable}} if detectable else {})


def position_from_json(value: Mapping[str, int | str] | None) -> Position | None:
    """Return the position in the spec that is stored in a JSON column."""
    return None if value is None else Position(**value)  # type: ignore[arg-type]  # JSON of asdict(Position)
