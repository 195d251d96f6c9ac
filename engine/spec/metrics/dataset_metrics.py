"""The metrics of datasets: numbers of rows, and counts, moments and ages of their columns."""

from collections.abc import Iterable

from engine.spec.metrics.definition import ALL_ROLES, NUMERICAL_ROLE, TIME_ROLE, MetricDefinition


def define_dataset_metrics() -> Iterable[MetricDefinition]:
    yield MetricDefinition("row_count", "dataset", "Number of rows.", low=0)
    yield MetricDefinition("column_count", "dataset", "Number of columns.", low=0)
    yield MetricDefinition(
        "repeated_share",
        "dataset",
        "Share of the rows that were also in the previous batch. The first batch has no value.",
        low=0,
        high=1,
        worse="higher",
    )

    def column(
        name: str, text: str, low: float | None = None, high: float | None = None, numeric: bool = False
    ) -> MetricDefinition:
        return MetricDefinition(
            name, "dataset", text, "column", low, high, roles=NUMERICAL_ROLE if numeric else (*ALL_ROLES, "time")
        )

    yield column("missing_count", "Number of missing values (null or NaN).", 0)._replace(worse="higher")
    yield column("missing_share", "Share of the rows with a missing value.", 0, 1)._replace(worse="higher")
    yield column("distinct_count", "Number of distinct values, excluding missing values.", 0)
    yield column(
        "distinct_share", "Number of distinct values, divided by the number of values that are not missing.", 0, 1
    )
    age = MetricDefinition("age", "dataset", "", "column", worse="higher", roles=TIME_ROLE, unit="seconds")
    yield age._replace(
        description="Time in seconds from the newest date or datetime to the moment of the run (`as_of`). Bounds of "
        "checks may be durations such as `36h`. A time without a time zone is in UTC, and a date means its start. The "
        "age is negative if the newest time is in the future.",
    )
    yield column("sum", "Sum of the values.", numeric=True)
    yield from (column(name, text, low, numeric=True) for name, text, low in MOMENTS)


MOMENTS: tuple[tuple[str, str, float | None], ...] = (
    ("mean", "Mean of the values that are not missing.", None),
    ("std", "Standard deviation, sample (n - 1).", 0),
    ("min", "Smallest value.", None),
    ("max", "Largest value.", None),
    ("median", "Median.", None),
    ("q05", "5 % quantile, linear between values.", None),
    ("q25", "25 % quantile, linear between values.", None),
    ("q75", "75 % quantile, linear between values.", None),
    ("q95", "95 % quantile, linear between values.", None),
)
