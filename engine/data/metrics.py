"""Dataset metrics: counts, moments and quantiles of a table, in one lazy streaming pass for all names asked."""

from collections.abc import Callable, Collection, Iterator
from math import isnan

import polars as pl

from engine.data.families import family
from engine.data.table import Table, meant, reading
from engine.errors import DataError
from engine.spec.catalogue import MetricName, names, parse

_ANY: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "missing_count": lambda value: value.null_count(),
    "missing_share": lambda value: value.null_count() / pl.len(),
    "distinct_count": lambda value: value.drop_nulls().n_unique(),
}
_NUMERICAL: dict[str, Callable[[pl.Expr], pl.Expr]] = {
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
        plan = dict(one for text in wanted for one in _plan(table.name, text, schema))
        found = table.frame.select(value.alias(name) for name, value in plan.items()).collect(engine="streaming")
    return {name: _number(found.item(0, name)) for name in plan}


def _plan(dataset: str, text: str, schema: pl.Schema) -> Iterator[tuple[str, pl.Expr]]:
    """Give each concrete metric that a name stands for, with what computes it."""
    name = parse(text)
    if not isinstance(name, MetricName) or name.statistic not in names("dataset"):
        raise DataError(f"dataset {dataset!r} has no metric {text!r}; there are {', '.join(names('dataset'))}")
    if name.statistic in ("row_count", "column_count"):
        yield text, pl.len() if name.statistic == "row_count" else pl.lit(len(schema))
        return
    statistic = name.statistic
    compute = _ANY.get(statistic) or _NUMERICAL[statistic]
    suits = [column for column, dtype in schema.items() if statistic in _ANY or _is_numerical(dtype)]
    if name.wildcard:
        for column in suits:
            yield str(MetricName(statistic, column)), compute(_present(column, schema[column], statistic))
        return
    column = name.member or ""
    if column not in schema:
        raise DataError(f"dataset {dataset!r} has no column {column!r} for {text}{meant(column, list(schema))}")
    if column not in suits:
        raise DataError(f"dataset {dataset!r}: {text} needs numbers, and column {column!r} is {family(schema[column])}")
    yield text, compute(_present(column, schema[column], statistic))


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
