"""Dataset metrics: counts, moments and quantiles of a table.

Counts and moments come from one streaming pass. Quantiles and distinct values need a column whole, so they are taken
from a few columns at a time: one plan for all of them would hold the whole table, and polars' planning of many
quantiles grows with the square of their number.
"""

from collections.abc import Callable, Collection, Iterator
from math import isnan
from typing import NamedTuple

import polars as pl

from engine.data.families import family
from engine.data.table import Table, meant, reading
from engine.errors import DataError
from engine.spec.catalogue import MetricName, names, parse

_Compute = Callable[[pl.Expr], pl.Expr]

_ANY: dict[str, _Compute] = {
    "missing_count": lambda value: value.null_count(),
    "missing_share": lambda value: value.null_count() / pl.len(),
    "distinct_count": lambda value: value.drop_nulls().n_unique(),
}
_NUMERICAL: dict[str, _Compute] = {
    "sum": lambda value: value.sum(),
    "mean": lambda value: value.mean(),
    "std": lambda value: value.std(),
    "min": lambda value: value.min(),
    "max": lambda value: value.max(),
    "median": lambda value: value.quantile(0.50, "linear"),
    "q05": lambda value: value.quantile(0.05, "linear"),
    "q25": lambda value: value.quantile(0.25, "linear"),
    "q75": lambda value: value.quantile(0.75, "linear"),
    "q95": lambda value: value.quantile(0.95, "linear"),
}
_WHOLE = ("distinct_count", "median", "q05", "q25", "q75", "q95")
HELD = 10_000_000
"""Values that are held at a time, at least one column."""


def dataset_metrics(table: Table, wanted: Collection[str]) -> dict[str, float | None]:
    """Compute metrics of a dataset.

    NaN counts as missing. None where the metric has no value: nothing but missing values, `std` of one value.
    Durations are measured in seconds.

    Parameters
    ----------
    table
        The dataset.
    wanted
        As a spec writes them: row_count, mean.amount, missing_share."a.b"; mean.* is every numerical column.

    Raises
    ------
    DataError
        A column does not exist or is not numerical, or the table cannot be read.
    """
    with reading(table):
        schema = table.frame.collect_schema()
        plan = {key: asked for text in wanted for key, asked in _plan(table.name, text, schema)}
        passing = [asked.value.alias(key) for key, asked in plan.items() if not asked.whole]
        found = table.frame.select(pl.len().alias(""), *passing).collect(engine="streaming").row(0, named=True)
        whole: dict[str, list[pl.Expr]] = {}
        for key, asked in plan.items():
            if asked.whole:
                whole.setdefault(asked.column, []).append(asked.value.alias(key))
        step = max(1, HELD // max(1, found[""]))
        for start in range(0, len(whole), step):
            held = table.frame.select(list(whole)[start : start + step]).collect(engine="streaming")
            for column in held.columns:
                found |= held.select(whole[column]).row(0, named=True)
    return {key: _number(found[key]) for key in plan}


class _Asked(NamedTuple):
    """What computes a metric of a column, and whether it needs the column whole."""

    value: pl.Expr
    column: str = ""
    whole: bool = False


def _plan(dataset: str, text: str, schema: pl.Schema) -> Iterator[tuple[str, _Asked]]:
    """Give each concrete metric that a name stands for, with what computes it."""
    name = parse(text)
    if not isinstance(name, MetricName) or name.statistic not in names("dataset"):
        raise DataError(f"dataset {dataset!r} has no metric {text!r}; there are {', '.join(names('dataset'))}")
    if name.statistic in ("row_count", "column_count"):
        yield text, _Asked(pl.len() if name.statistic == "row_count" else pl.lit(len(schema)))
        return
    statistic = name.statistic
    suits = [column for column, dtype in schema.items() if statistic in _ANY or _is_numerical(dtype)]
    column = name.member or ""
    if not name.wildcard and column not in schema:
        raise DataError(f"dataset {dataset!r} has no column {column!r} for {text}{meant(column, list(schema))}")
    if not name.wildcard and column not in suits:
        raise DataError(f"dataset {dataset!r}: {text} needs numbers, and column {column!r} is {family(schema[column])}")
    compute = _ANY.get(statistic) or _NUMERICAL[statistic]
    for one in suits if name.wildcard else [column]:
        key = str(MetricName(statistic, one)) if name.wildcard else text
        yield key, _Asked(compute(_present(one, schema[one], statistic)), one, statistic in _WHOLE)


def _is_numerical(dtype: pl.DataType) -> bool:
    return family(dtype) in ("integer", "number", "duration", "null")


def _present(column: str, dtype: pl.DataType, statistic: str) -> pl.Expr:
    """Return the column's values, NaN missing (polars takes it for the largest number), wide enough to add them up."""
    value = pl.col(column)
    if dtype == pl.Duration:
        return value.dt.total_microseconds() / 1e6
    if dtype.is_decimal() or dtype == pl.Null:
        return value.cast(pl.Float64)
    if dtype.is_integer() and statistic == "sum":
        return value.cast(pl.Int128)
    return value.fill_nan(None) if dtype.is_float() else value


def _number(value: float | None) -> float | None:
    return None if value is None or isnan(value) else float(value)
