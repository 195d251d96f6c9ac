"""Dataset metrics: counts, moments, quantiles and ages of a table.

Counts and moments come from one streaming pass. Quantiles and distinct counts need all values of a column in memory, so
they are computed for a few columns at a time. One plan for all columns would hold the whole table, and polars' planning
time for quantiles grows with the square of their number.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from math import inf, isnan
from typing import Any, NamedTuple

import polars as pl

from engine.data.column_types import column_type
from engine.data.spark.spark_metrics import is_measured_by_spark, measure_statistics
from engine.data.table import Table, explain_read_errors
from engine.drift.reading.blocks import count_frame_rows
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.spec.metrics.catalogue import list_statistics
from engine.spec.metrics.names import MetricName, parse_metric_name

_MetricExpression = Callable[[pl.Expr], pl.Expr]

_METRICS_OF_ANY_TYPE: dict[str, _MetricExpression] = {
    "missing_count": lambda value: value.null_count(),
    "missing_share": lambda value: value.null_count() / pl.len(),
    "distinct_count": lambda value: value.drop_nulls().n_unique(),
    "distinct_share": lambda value: value.drop_nulls().n_unique() / value.count(),
}
_NUMERICAL_METRICS: dict[str, _MetricExpression] = {
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
_TIME_METRICS: dict[str, _MetricExpression] = {
    # the newest time in seconds since 1970, UTC; it is subtracted from the current time afterwards
    "age": lambda value: value.max().dt.epoch("us") / 1e6
}
_COLUMN_METRICS = _METRICS_OF_ANY_TYPE | _NUMERICAL_METRICS | _TIME_METRICS
_WHOLE_COLUMN_METRICS = ("distinct_count", "distinct_share", "median", "q05", "q25", "q75", "q95")
SMALLEST_STD = 1e-140
"""The standard deviation below which squared deviations lose digits, or become 0."""
MAX_VALUES_HELD = 10_000_000
"""Maximum number of values in memory at a time; one column is always held whole."""


def compute_dataset_metrics(
    table: Table, wanted: Collection[str], now: datetime | None = None
) -> dict[str, float | None]:
    """Compute metrics of a dataset.

    NaN counts as missing. Durations are measured in seconds.

    Parameters
    ----------
    table
        The dataset.
    wanted
        Names of metrics as in a spec: row_count, mean.amount, missing_share."a.b"; mean.* stands for the mean of every
        numerical column. All but `repeated_share`, which also depends on an earlier batch.
    now
        The time at which `age` is measured, with a time zone; needed only for `age`.

    Returns
    -------
    dict
        The value by metric name, wildcards expanded. None if a metric is undefined: the mean of a column without
        values, the standard deviation of one value.

    Raises
    ------
    DataError
        A metric or column does not exist, the column is not numerical, or the table cannot be read.
    """
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
        plan = {key: asked for text in wanted for key, asked in _expand_metric_name(table.name, text, schema)}
        here, found = plan, dict[str, Any]()
        if table.spark:
            there = {key: one for key, one in plan.items() if is_measured_by_spark(schema.get(one.column))}
            here = {key: one for key, one in plan.items() if key not in there}
            found = measure_statistics(table.spark, there)
        if here:
            found |= _measure_here(table.frame, here, schema)
    for key, asked in plan.items():
        if asked.statistic in _TIME_METRICS and found[key] is not None:
            if now is None:
                raise ValueError(f"{key} needs the present moment")
            found[key] = now.timestamp() - found[key]
    return {key: _nan_to_none(found[key]) for key in plan}


def _measure_here(frame: pl.LazyFrame, plan: Mapping[str, "_ColumnStatistic"], schema: pl.Schema) -> dict[str, Any]:
    """Return the values of a plan by key, computed in this process."""
    # Pass 1: the row count and every metric that polars can aggregate in a streaming pass.
    passing = [
        _streaming_expression(asked, schema).alias(key) for key, asked in plan.items() if not asked.needs_whole_column
    ]
    floats = {
        key: _values_without_nan(asked.column, schema[asked.column])
        for key, asked in plan.items()
        if asked.statistic == "std" and schema[asked.column].is_float()
    }
    widths = [(value.max() - value.min()).alias(f"width of {key}") for key, value in floats.items()]
    if passing:
        found = frame.select(pl.len().alias(""), *passing, *widths).collect(engine="streaming").row(0, named=True)
    else:
        found = {"": count_frame_rows(frame)}
    # If squared deviations overflow, or are too small for a float, all values are multiplied by a power of 2, which
    # changes none of their digits.
    scales = {key: 2.0**-600 for key in floats if found[key] == inf}
    measured = [key for key in floats if found[key] is not None]  # one value has no standard deviation
    scales |= {key: 2.0**600 for key in measured if found[f"width of {key}"] and found[key] < SMALLEST_STD}
    if scales:
        scaled = [((floats[key].cast(pl.Float64) * by).std() / by).alias(key) for key, by in scales.items()]
        found |= frame.select(scaled).collect(engine="streaming").row(0, named=True)
    # Passes 2 to n: metrics that need whole columns, as many columns at a time as `MAX_VALUES_HELD` allows.
    whole: dict[str, list[pl.Expr]] = {}
    for key, asked in plan.items():
        if asked.needs_whole_column:
            compute = _COLUMN_METRICS[asked.statistic]
            whole.setdefault(asked.column, []).append(compute(pl.col(asked.column)).alias(key))
    step = max(1, MAX_VALUES_HELD // max(1, found[""]))
    for start in range(0, len(whole), step):
        held = frame.select(list(whole)[start : start + step]).collect(engine="streaming")
        for column, dtype in held.schema.items():
            value = _values_without_nan(column, dtype)
            values = held.select(value.sort() if _is_numerical(dtype) else value)  # sorted once for all quantiles
            found |= values.select(whole[column]).row(0, named=True)
    return found


def find_unmeasurable_metrics(table: Table, wanted: Collection[str]) -> dict[str, str]:
    """Return, by metric name, the reason for each wanted metric that the dataset cannot have.

    The column does not exist, or is not numerical.
    """
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
    reasons = {}
    for text in wanted:
        try:
            list(_expand_metric_name(table.name, text, schema))
        except DataError as error:
            reasons[text] = str(error)
    return reasons


class _ColumnStatistic(NamedTuple):
    """One statistic of one column; the column is empty for a statistic of the whole dataset."""

    statistic: str
    column: str

    @property
    def needs_whole_column(self) -> bool:
        return self.statistic in _WHOLE_COLUMN_METRICS


def _expand_metric_name(dataset: str, text: str, schema: pl.Schema) -> Iterator[tuple[str, _ColumnStatistic]]:
    """Yield each concrete metric of a name: one, or for a wildcard one per suitable column."""
    name = parse_metric_name(text)
    if not isinstance(name, MetricName) or name.statistic not in list_statistics("dataset"):
        raise DataError(f"dataset {dataset!r} has no metric {text!r}; it has {', '.join(list_statistics('dataset'))}")
    statistic, column = name.statistic, name.member or ""
    if statistic not in _COLUMN_METRICS:
        yield text, _ColumnStatistic(statistic, "")
        return
    suitable = [column for column, dtype in schema.items() if _has_statistic(dtype, statistic)]
    if name.wildcard:
        yield from ((str(MetricName(statistic, one)), _ColumnStatistic(statistic, one)) for one in suitable)
    elif column not in schema:
        hint = suggest_name(column, list(schema))
        raise DataError(f"dataset {dataset!r} has no column {column!r}, which {text} needs{hint}")
    elif column not in suitable:
        needs, help_ = "numbers", ""
        if statistic in _TIME_METRICS:
            needs = "dates or times"
            help_ = f": declare its type under columns ({column}: {{type: datetime}}), or convert it in a query"
        found = column_type(schema[column])
        raise DataError(f"dataset {dataset!r}: {text} needs {needs}, but column {column!r} is {found}{help_}")
    else:
        yield text, _ColumnStatistic(statistic, column)


def _streaming_expression(asked: _ColumnStatistic, schema: pl.Schema) -> pl.Expr:
    """Return the expression that computes a metric in one streaming pass."""
    if asked.statistic == "row_count":
        return pl.len()
    if asked.statistic == "column_count":
        return pl.lit(len(schema))
    dtype = schema[asked.column]
    value = _values_without_nan(asked.column, dtype)
    # A sum of 64-bit integers may exceed 64 bits, and polars would wrap around.
    wide = value.cast(pl.Int128) if dtype.is_integer() and asked.statistic == "sum" else value
    return _COLUMN_METRICS[asked.statistic](wide)


def _has_statistic(dtype: pl.DataType, statistic: str) -> bool:
    if statistic in _TIME_METRICS:
        return column_type(dtype) in ("date", "datetime")
    return statistic not in _NUMERICAL_METRICS or _is_numerical(dtype)


def _is_numerical(dtype: pl.DataType) -> bool:
    return column_type(dtype) in ("integer", "number", "duration", "null")


def _values_without_nan(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return the values of a column with NaN as null, because polars sorts NaN above every number.

    Durations become seconds; decimals and empty columns become floats.
    """
    value = pl.col(column)
    if dtype == pl.Duration:
        return value.dt.total_microseconds() / 1e6
    if dtype.is_decimal() or dtype == pl.Null:
        return value.cast(pl.Float64)
    return value.fill_nan(None) if dtype.is_float() else value


def _nan_to_none(value: float | None) -> float | None:
    return None if value is None or isnan(value) else float(value)
