"""What executors of Spark compute of a DataFrame is what one machine computes of the same rows."""

import datetime

import numpy as np
import polars as pl
import pytest

from engine import drift
from engine.errors import DataError

pytestmark = pytest.mark.slow

ROWS = 150_000
"""Enough to be counted on a grid, whose intervals are then read again."""


def make_table(seed, rows=ROWS, moved=0.0):
    """Columns of many types, with ties, missing values and names that Spark has to be given in quotes."""
    random = np.random.default_rng(seed)
    day = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    frame = pl.DataFrame(
        {
            "normal": random.standard_normal(rows) + moved,
            "a.b": random.lognormal(0, 2, rows).astype(np.float32),
            "tick`ed": random.integers(-(2**60), 2**60, rows),
            "tied": random.poisson(4 + moved, rows).astype(np.int16),
            "zeros": np.where(random.random(rows) < 0.6, 0.0, random.standard_exponential(rows)),
            "price": pl.Series(random.integers(0, 10**6, rows)).cast(pl.Decimal(12, 2)) / 100,
            "flag": random.random(rows) < 0.3 + moved,
            "text": [f"länge {i}" for i in random.geometric(0.02, rows)],
            "when": pl.Series(random.integers(0, 10**6, rows)).cast(pl.Duration("us")) + day,
            "customer": random.integers(0, 2000, rows),
        }
    )
    return frame.with_columns(
        pl.when(pl.Series(random.random(rows) > 0.1)).then(pl.col("normal", "text")),
        pl.col("price").cast(pl.Decimal(14, 2)),
    )


ROLES = {
    **dict.fromkeys(["normal", "a.b", "tick`ed", "tied", "zeros", "price", "when"], "numerical"),
    **dict.fromkeys(["flag", "text"], "categorical"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The tables of a reference and of a batch, as Parquet files."""
    folder = tmp_path_factory.mktemp("tables")
    paths = folder / "reference.parquet", folder / "batch.parquet"
    make_table(1, 60_000).write_parquet(paths[0])
    make_table(2, moved=0.05).write_parquet(paths[1])
    return paths


@pytest.fixture(scope="module")
def reference(files):
    return drift.profile(files[0], ROLES)


def skew(frame):
    """The same rows, nearly all of them in one of several partitions, and none in some."""
    return frame.repartitionByRange(6, "flag")


def require_same_drift(found, expected):
    """Equal to the last bit, but for what rests on sums of floats."""
    assert found.notes == expected.notes
    for name, column in expected.columns.items():
        other = found.columns[name]
        summed = {key for key in column.statistics if "mean" in key or "std" in key or "wasserstein" in key}
        for key, value in column.statistics.items():
            if key in summed and value is not None:
                scale = abs(column.statistics["reference_std"] or 0)
                assert other.statistics[key] == pytest.approx(value, rel=1e-12, abs=1e-12 * scale), (name, key)
            else:
                assert other.statistics[key] == value, (name, key)
        for one in ("drift", "drift_low", "drift_p", "significant", "histogram", "reasons", "type_change"):
            assert getattr(other, one) == getattr(column, one), (name, one)
        assert column.bounds.keys() == other.bounds.keys()


@pytest.mark.parametrize("divide", [1, 7, skew], ids=["1", "7", "skewed"])
def test_a_batch_in_any_partitions_drifts_as_on_one_machine(spark, files, reference, divide):
    frame = spark.read.parquet(str(files[1]))
    divided = divide(frame) if callable(divide) else frame.repartition(divide)
    require_same_drift(drift.compare(reference, divided), drift.compare(reference, files[1]))


def test_few_rows_in_two_hundred_mostly_empty_partitions_drift_as_on_one_machine(spark, tmp_path, reference):
    make_table(3, 2_000).write_parquet(tmp_path / "few.parquet")
    frame = spark.read.parquet(str(tmp_path / "few.parquet")).repartition(200, "flag")
    require_same_drift(drift.compare(reference, frame), drift.compare(reference, tmp_path / "few.parquet"))


def test_rows_that_each_pass_computes_anew_are_refused(spark, files, reference):
    def draw_anew(batches):  # in the test, because executors cannot import this module
        for batch in batches:
            yield batch.from_pydict({"normal": np.random.default_rng().standard_normal(batch.num_rows)})

    drawn = spark.read.parquet(str(files[1])).select("normal").mapInArrow(draw_anew, "normal double")
    with pytest.raises(DataError, match="rows have changed between the passes"):
        drift.compare(reference.select(["normal"]), drawn)


def test_what_executors_cannot_do_collects_no_rows_unasked(spark, files):
    frame = spark.read.parquet(str(files[1]))
    with pytest.raises(DataError, match="give the rows of sample"):
        drift.domain_classifier(frame, frame, {"normal": "numerical"})


def test_a_certified_comparison_reads_once_and_has_the_bounds_of_one_machine(spark, files, reference):
    frame = spark.read.parquet(str(files[1])).repartition(3)
    found, expected = (drift.compare(reference, batch, exact=False) for batch in (frame, files[1]))
    require_same_drift(found, expected)
    bounds = expected.columns["normal"].bounds
    assert found.columns["normal"].bounds["ks"] == bounds["ks"]
    assert found.columns["normal"].bounds["median"] == bounds["median"]


def test_the_profile_of_exact_columns_is_that_of_one_machine_to_the_last_bit(spark, files, reference):
    frame = spark.read.parquet(str(files[0]))
    for divided in (frame.repartition(1), skew(frame)):
        found = drift.profile(divided, ROLES)
        assert found.fingerprint() == reference.fingerprint()
        assert found.types == reference.types


def test_a_profile_with_too_many_values_has_the_grid_of_one_machine(spark, files):
    frame = spark.read.parquet(str(files[0])).select("normal", "tied").repartition(5)
    found, expected = (
        drift.profile(data, {"normal": "numerical", "tied": "numerical"}, most_values=20_000)
        for data in (frame, files[0])
    )
    for name, column in expected.columns.items():
        assert np.array_equal(found.columns[name].values, column.values)
        assert np.array_equal(found.columns[name].counts, column.counts)
    assert found.columns["normal"].intervals.counts.tolist() == expected.columns["normal"].intervals.counts.tolist()


def test_roles_and_one_row_per_entity_are_those_of_one_machine(spark, files):
    rows = pl.read_parquet(files[0]).head(5_000).with_row_index("number").cast({"number": pl.Int64})
    named = rows.with_columns(key=pl.format("id {}", "number"))
    frame = spark.createDataFrame(named.select("number", "key", "tied", "text", "customer").to_pandas())
    assert drift.roles(frame.coalesce(1)) == drift.roles(pl.DataFrame(frame.toArrow()))
    read = spark.read.parquet(str(files[0])).repartition(4)
    found, expected = (drift.profile(data, ROLES, entity="customer") for data in (read, files[0]))
    assert found.fingerprint() == expected.fingerprint()


def test_a_sample_has_the_rows_that_one_machine_draws(spark, files):
    frame = spark.read.parquet(str(files[0])).repartition(5)
    for columns, rows in ((list(ROLES), 500), (["flag", "tied"], 2_000)):
        found, expected = (drift.sample(data, columns, rows, entity="customer", seed=3) for data in (frame, files[0]))
        assert found.equals(expected.cast(dict(found.schema)))
        assert len(found) == rows
    empty = drift.sample(frame.where("normal > 1e9"), ["normal"], 5)
    assert empty.shape == (0, 1)


def test_columns_of_other_types_are_read_as_on_one_machine(spark, files, reference):
    changed = spark.read.parquet(str(files[1])).limit(3_000).coalesce(1).selectExpr(
        "string(normal) as normal", "double(`a.b`) as `a.b`", "cast(`tick``ed` as decimal(30, 0)) as `tick``ed`",
        "string(tied) as tied", "int(flag) as flag", "text", "when", "zeros",
    )  # fmt: skip
    held = pl.DataFrame(changed.toArrow())
    require_same_drift(drift.compare(reference, changed), drift.compare(reference, held))
    wrong = changed.selectExpr("*", "'7 apples' as price")
    assert "a row holds '7 apples'" in drift.compare(reference, wrong).columns["price"].reasons["drift"]


@pytest.mark.parametrize("where", ["normal > 1e9", "false"], ids=["empty partitions", "an empty plan"])
def test_a_batch_without_rows_is_one_without_rows(spark, files, reference, where):
    frame = spark.read.parquet(str(files[1]))
    require_same_drift(
        drift.compare(reference, frame.where(where)), drift.compare(reference, pl.read_parquet(files[1]).head(0))
    )


TEXT = {"text": "numerical"}
FAILURES = {
    "column 'text' is compared as numerical, but a row holds text": lambda frame: drift.profile(frame, TEXT),
    "the data lacks 'nope'": lambda frame: drift.profile(frame, {"nope": "numerical"}),
    "the entity, column 'them', holds List": lambda frame: drift.profile(
        frame.selectExpr("array(tied) as them", "tied"), {"tied": "numerical"}, entity="them"
    ),
    "oh no": lambda frame: drift.sample(frame.selectExpr("raise_error('oh no') as x"), ["x"], 5),
    "`nowhere` cannot be resolved": lambda frame: drift.sample(frame, ["nowhere"], 5),
}


@pytest.mark.parametrize("said", FAILURES)
def test_errors_of_executors_come_in_the_words_of_this_package(spark, files, said):
    with pytest.raises(DataError) as raised:
        FAILURES[said](spark.read.parquet(str(files[1])).limit(100))
    assert said in str(raised.value)
    assert not any(part in str(raised.value) for part in ("Traceback", "java.", "SQLSTATE", "\n"))
