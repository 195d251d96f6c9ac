"""Dataset metrics of rows in Spark, computed by Spark's aggregates as defined in `engine.data.metrics`.

Counts and extremes equal those of one machine. Sums of fractions are added in another order, and agree to 1e-12 of
their size; so do quantiles, which may lie between two values.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.connections.spark import explain_spark_errors
from engine.data.spark.spark_rows import SparkRows, quote_name

if TYPE_CHECKING:
    from pyspark.sql import Column

_QUANTILES = {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


def is_measured_by_spark(dtype: pl.DataType | None) -> bool:
    """Return whether Spark measures a column of a type; durations are read and measured in this process."""
    return not isinstance(dtype, pl.Duration)


def measure_statistics(rows: SparkRows, asked: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return statistics by key; `asked` holds the name and the column of each, empty for one of all rows.

    Raises
    ------
    DatabaseError
        Spark does not answer.
    """
    from pyspark.sql import functions as sf

    schema = rows.schema
    with explain_spark_errors(rows.place):
        computed = {
            key: _COMPUTE[statistic](_present(column, schema[column]), schema[column])
            for key, (statistic, column) in asked.items()
            if column
        }
        numbered = [value.alias(f"m{number}") for number, value in enumerate(computed.values())]
        found = rows.frame.agg(sf.count("*").alias("rows"), *numbered).collect()[0].asDict()
    count = found["rows"]
    answers: dict[str, Any] = {key: found[f"m{number}"] for number, key in enumerate(computed)}
    for key, (statistic, _) in asked.items():
        match statistic:
            case "row_count":
                answers[key] = count
            case "column_count":
                answers[key] = len(schema)
            case "missing_count":
                answers[key] = count - answers[key]
            case "missing_share":
                answers[key] = (count - answers[key]) / count if count else None
    return {key: None if answers[key] is None else float(answers[key]) for key in asked}


def _present(column: str, dtype: pl.DataType) -> "Column":
    """Return a column with NaN as missing and decimals as floats."""
    from pyspark.sql import functions as sf

    value = sf.col(quote_name(column))
    if dtype.is_decimal() or dtype == pl.Null:
        return value.cast("double")
    return sf.when(~sf.isnan(value), value) if dtype.is_float() else value


def _sum_values(value: "Column", dtype: pl.DataType) -> "Column":
    """Return the sum, 0 without values; a sum of 64-bit integers may exceed 64 bits."""
    from pyspark.sql import functions as sf

    wide = value.cast("decimal(38,0)") if dtype.is_integer() else value
    return sf.coalesce(sf.sum(wide).cast("double"), sf.lit(0.0))


def _measure_newest(value: "Column", dtype: pl.DataType) -> "Column":
    """Return the newest time, in seconds since 1970."""
    from pyspark.sql import functions as sf

    if dtype == pl.Date:
        return sf.unix_date(sf.max(value)) * 86_400.0
    return sf.unix_micros(sf.max(value).cast("timestamp")) / 1e6


def _measure_distinct_share(value: "Column", _: pl.DataType) -> "Column":
    """Return the number of distinct values divided by that of all values; null if there are none."""
    from pyspark.sql import functions as sf

    return sf.count_distinct(value) / sf.nullif(sf.count(value), sf.lit(0))


def _aggregate(name: str) -> "Callable[[Column, pl.DataType], Column]":
    def compute(value: "Column", _: pl.DataType) -> "Column":
        from pyspark.sql import functions as sf

        aggregate: Callable[[Column], Column] = getattr(sf, name)
        return aggregate(value)

    return compute


def _measure_quantile(share: float) -> "Callable[[Column, pl.DataType], Column]":
    def compute(value: "Column", _: pl.DataType) -> "Column":
        from pyspark.sql import functions as sf

        return sf.percentile(value, sf.lit(share))

    return compute


_COMPUTE: "Mapping[str, Callable[[Column, pl.DataType], Column]]" = {
    "missing_count": _aggregate("count"),
    "missing_share": _aggregate("count"),
    "distinct_count": _aggregate("count_distinct"),
    "distinct_share": _measure_distinct_share,
    "sum": _sum_values,
    "mean": _aggregate("avg"),
    "std": _aggregate("stddev_samp"),
    "min": _aggregate("min"),
    "max": _aggregate("max"),
    "age": _measure_newest,
    **{name: _measure_quantile(share) for name, share in _QUANTILES.items()},
}
"""The aggregate of each statistic of a column; for missing values it counts the present ones."""
