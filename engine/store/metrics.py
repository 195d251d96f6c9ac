"""Reads and writes metrics as rows; all tables of metrics have the same columns. NaN is stored as NULL."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select

from engine.evaluation.record import MetricValue
from engine.store.databases.database import insert_rows, split_rows

_VALUE_COLUMNS = ("value", "low", "high", "p_value", "reason", "failed", "unlabelled")
"""The columns of a value, in the order of the fields of `MetricValue`."""


def nan_to_none(value: float | None) -> float | None:
    """Return `value` as a float, but NaN as None. Infinities stay, because a column can have an infinite maximum."""
    return None if value is None or math.isnan(value) else float(value)


def insert_metrics(
    connection: Connection, table: Table, owner: str, number: int, metrics: Mapping[str, MetricValue]
) -> None:
    """Insert the metrics that belong to row `number` of the owner, keeping their order."""
    if metrics:
        rows = [(number, place, metric, *_list_values(value)) for place, (metric, value) in enumerate(metrics.items())]
        insert_rows(connection, table, (owner, "place", "metric", *_VALUE_COLUMNS), rows)


def read_metrics(
    connection: Connection, table: Table, owner: str, numbers: Sequence[int], only: Sequence[str] | None = None
) -> dict[int, dict[str, MetricValue]]:
    """Return the metrics of each of the rows `numbers`, in the order in which they were inserted.

    With `only`, just these metrics; `drift.*` means all columns, `*` all metrics.
    """
    of = table.c[owner]
    wanted = [] if only is None or "*" in only else [_match_metrics(table, only)]
    columns = (table.c[name] for name in ("metric", *_VALUE_COLUMNS))
    query = select(of, *columns).where(*wanted).order_by(of, table.c.place)
    found: dict[int, dict[str, MetricValue]] = {number: {} for number in numbers}
    for some in split_rows(numbers) if only != [] else ():
        for number, metric, *value in connection.execute(query.where(of.in_(some))):
            found[number][metric] = MetricValue(*value)
    return found


def _match_metrics(table: Table, names: Sequence[str]) -> ColumnElement[bool]:
    families = [name.removesuffix(".*") for name in names if name.endswith(".*")]
    of = table.c.metric  # a range, since LIKE ignores case in some databases; "/" follows "." in ASCII
    return or_(of.in_(names), *(and_(of > f"{family}.", of < f"{family}/") for family in families))


def _list_values(value: MetricValue) -> tuple[Any, ...]:
    number = nan_to_none(value.value)
    lost = number is None and value.value is not None
    reason = "not a number" if lost and value.reason is None else value.reason
    bounds = nan_to_none(value.low), nan_to_none(value.high), nan_to_none(value.p_value)
    return number, *bounds, reason, value.failed, value.counts_as_ok
