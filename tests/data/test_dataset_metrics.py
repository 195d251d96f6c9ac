"""Dataset metrics against numpy, and their edges."""

import math
import statistics
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import Table, compute_dataset_metrics
from engine.data.metrics import MAX_VALUES_HELD
from engine.errors import DataError
from engine.spec.metrics.catalogue import list_statistics

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
OTHERS = ("row_count", "column_count", "repeated_share", "age")
PER_COLUMN = [name for name in list_statistics("dataset") if name not in OTHERS]


def table(frame):
    return Table("t", frame.lazy(), "")


@given(st.lists(st.none() | st.floats(-1e6, 1e6) | st.just(math.nan), max_size=20))
def test_metrics_agree_with_numpy(values):
    found = compute_dataset_metrics(
        table(pl.DataFrame({"x": values}, schema={"x": pl.Float64})), [f"{name}.x" for name in PER_COLUMN]
    )
    present = np.array([v for v in values if v is not None and not math.isnan(v)])
    missing = len(values) - len(present)
    assert found["missing_count.x"] == missing
    assert found["missing_share.x"] == (missing / len(values) if values else None)
    assert found["distinct_count.x"] == len(set(present))
    assert found["distinct_share.x"] == (len(set(present)) / len(present) if len(present) else None)
    assert found["sum.x"] == pytest.approx(present.sum())
    expected = {"mean": np.mean, "min": np.min, "max": np.max, "median": np.median}
    expected |= {f"q{p:02}": lambda a, p=p: np.quantile(a, p / 100) for p in (5, 25, 75, 95)}
    for name, function in expected.items():
        assert found[f"{name}.x"] == (pytest.approx(function(present), abs=1e-6) if len(present) else None)
    assert found["std.x"] == (pytest.approx(present.std(ddof=1), abs=1e-6) if len(present) > 1 else None)


def test_every_metric_of_the_catalogue_has_a_value():
    wanted = ["row_count", "column_count", *(f"{name}.x" for name in PER_COLUMN)]
    found = compute_dataset_metrics(table(pl.DataFrame({"x": [1, 2, 2]})), wanted)
    assert list(found) == wanted
    assert all(isinstance(value, float) for value in found.values())


def test_a_wildcard_is_every_column_that_has_the_metric():
    frame = pl.DataFrame({"a.b": [1], "s": ["x"], "d": [date(2017, 1, 1)], "t": [timedelta(minutes=1)]})
    assert compute_dataset_metrics(table(frame), ["mean.*"]) == {'mean."a.b"': 1.0, "mean.t": 60.0}
    assert list(compute_dataset_metrics(table(frame), ["distinct_count.*"]).values()) == [1.0] * 4


def test_decimals_are_numbers_and_infinity_is_a_value():
    frame = pl.DataFrame({"d": pl.Series(["1.25", "2.75"]).cast(pl.Decimal(10, 2)), "i": [math.inf, 1.0]})
    assert compute_dataset_metrics(table(frame), ["mean.d", "max.i", "q95.d"]) == {
        "mean.d": 2.0,
        "max.i": math.inf,
        "q95.d": pytest.approx(2.675),
    }


@pytest.mark.parametrize(
    ("newest", "hours"),
    [
        (datetime(2026, 3, 10, 6), 6),
        (datetime(2026, 3, 10, 6, tzinfo=ZoneInfo("Asia/Tokyo")), 15),
        (date(2026, 3, 10), 12),
        (date(2026, 3, 11), -12),
    ],
)
@pytest.mark.parametrize("unit", ["ms", "us", "ns", None])
def test_the_age_of_the_newest_time(newest, hours, unit):
    times = pl.Series([None, newest - timedelta(days=3), newest])
    if isinstance(newest, datetime) and unit:
        times = times.dt.cast_time_unit(unit)
    found = compute_dataset_metrics(table(pl.DataFrame({"t": times, "x": [1, 2, 3]})), ["age.t", "age.*"], NOON)
    assert found == {"age.t": hours * 3600}


def test_no_times_have_no_age():
    none = pl.DataFrame({"t": [None]}, schema={"t": pl.Date})
    assert compute_dataset_metrics(table(none), ["age.t"], NOON) == {"age.t": None}


def test_sums_do_not_overflow():
    assert compute_dataset_metrics(table(pl.DataFrame({"i": [2**63 - 1, 2**63 - 1]})), ["sum.i"]) == {"sum.i": 2.0**64}


@pytest.mark.parametrize("exponent", [-1000, -500, 600, 1010])
def test_a_standard_deviation_whose_squares_are_no_floats(exponent):
    values = [1.0, 2.0, 4.0, None, math.nan]
    scaled = [value and math.ldexp(value, exponent) for value in values]
    frame = pl.DataFrame({"x": scaled, "same": [math.ldexp(3, exponent)] * 5, "usual": values})
    found = compute_dataset_metrics(table(frame), ["std.*"])
    usual = statistics.stdev([1, 2, 4])
    assert found["std.x"] == pytest.approx(math.ldexp(usual, exponent), rel=1e-12)
    assert (found["std.same"], found["std.usual"]) == (0, pytest.approx(usual))


@pytest.mark.parametrize("values", [[], [None], [math.nan], [math.inf], [-math.inf], [math.inf, -math.inf], [5e-324]])
def test_columns_of_few_and_infinite_values_have_no_standard_deviation(values):
    frame = pl.DataFrame({"x": values}, schema={"x": pl.Float64})
    found = compute_dataset_metrics(table(frame), [f"{name}.x" for name in PER_COLUMN])
    assert found["std.x"] is None
    assert found["max.x"] == max(
        (value for value in values if value is not None and not math.isnan(value)), default=None
    )


def test_columns_of_any_type_are_counted():
    frame = pl.DataFrame({"l": [[1], [1], None], "s": [{"a": 1}, {"a": 2}, {"a": 2}], "n": [None] * 3})
    assert compute_dataset_metrics(table(frame), ["distinct_count.*", "missing_count.*", "mean.*"]) == {
        "distinct_count.l": 1.0,
        "distinct_count.s": 2.0,
        "distinct_count.n": 0.0,
        "missing_count.l": 1.0,
        "missing_count.s": 0.0,
        "missing_count.n": 3.0,
        "mean.n": None,
    }


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("mean.amout", "dataset 't' has no column 'amout', which mean.amout needs; did you mean 'amount'?"),
        ("mean.s", "dataset 't': mean.s needs numbers, but column 's' is text"),
        ("age.s", "age.s needs dates or times, but column 's' is text: declare its type under columns (s: {type: dat"),
        ("psi.amount", "dataset 't' has no metric 'psi.amount'; it has row_count"),
        ("mean", "dataset 't' has no column '', which mean needs"),
    ],
)
def test_a_metric_that_there_is_not(metric, said):
    with pytest.raises(DataError) as caught:
        compute_dataset_metrics(table(pl.DataFrame({"amount": [1.0], "s": ["x"]})), [metric])
    assert said in str(caught.value)


def test_columns_of_a_long_table_are_held_a_few_at_a_time():
    number = pl.int_range(MAX_VALUES_HELD // 3, dtype=pl.Int32, eager=True)
    frame = pl.DataFrame({f"x{i}": number % (i + 2) for i in range(4)})
    found = compute_dataset_metrics(table(frame), ["distinct_count.*", "median.*"])
    assert [found[f"distinct_count.x{i}"] for i in range(4)] == [2, 3, 4, 5]
    assert [found[f"median.x{i}"] for i in range(4)] == [frame[f"x{i}"].median() for i in range(4)]


def test_every_metric_of_many_columns():
    frame = pl.DataFrame({f"x{i}": [1.0, 2.0] for i in range(500)})
    found = compute_dataset_metrics(table(frame), [f"{name}.*" for name in PER_COLUMN])
    assert len(found) == 500 * len(PER_COLUMN)
    assert {found[f"mean.x{i}"] for i in range(500)} == {1.5}
