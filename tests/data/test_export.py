"""A table that is written and read again as a dataset is the same table, or an error has named the column."""

import tempfile
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes

from engine.data import Datasets, InMemoryFileHashes, Table
from engine.data.output.export import export_table
from engine.errors import DataError
from engine.spec import load

FORMATS = ("parquet", "arrow", "csv", "ndjson")

DECLARED = {
    pl.String: "text",
    pl.Date: "date",
    pl.Datetime: "datetime",
    pl.Boolean: "boolean",
    pl.Float64: "number",
    pl.Int64: "integer",
}
"""What a reader has to declare of a column, because a text format does not say it."""


def write(frame: pl.DataFrame, folder: Path, format_: str, *, null_value: str = "", separator: str = ",") -> Path:
    path = folder / f"out.{format_}"
    export_table(Table("made", frame.lazy(), ""), path, format_, null_value=null_value, separator=separator)
    return path


def read(path: Path, frame: pl.DataFrame, *, null_value: str = "", separator: str = ",") -> pl.DataFrame:
    """Read a file as a dataset of a project that declares the types of its columns."""
    columns = {
        name: f"{{type: {DECLARED[dtype.base_type()]}}}"
        for name, dtype in frame.schema.items()
        if dtype.base_type() in DECLARED
    }
    listed = ", ".join(f'"{name}": {type_}' for name, type_ in columns.items())
    csv = f", csv: {{null_values: ['{null_value}'], separator: '{separator}'}}" if path.suffix == ".csv" else ""
    spec = path.parent / "project.yaml"
    spec.write_text(
        f"version: 1\nproject: p\ndatasets: {{it: {{path: {path.name}, columns: {{{listed}}}{csv}}}}}\n",
        encoding="utf-8",
    )
    datasets = Datasets(load(spec, environ={}), InMemoryFileHashes(), lambda: path.parent)
    return datasets.open("it").frame.collect()


def normalize(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with the types that a text format brings back: the values stay the same."""
    casts = []
    for name, dtype in frame.schema.items():
        if dtype in (pl.Categorical, pl.Enum):
            casts.append(pl.col(name).cast(pl.String))
        elif dtype.is_integer():
            casts.append(pl.col(name).cast(pl.Int128))
        elif dtype.is_float() or dtype.is_decimal():
            casts.append(pl.col(name).cast(pl.Float64))
        elif isinstance(dtype, pl.Datetime) and dtype.time_zone:  # a declared time is read as UTC, without a zone
            casts.append(pl.col(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None))
    return frame.with_columns(casts)


NAMES = st.lists(st.sampled_from(["a", "b c", "ä", "x.y", "d,e", "f;g"]), min_size=1, max_size=6, unique=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=8)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    pl.Int64: st.integers(-(2**63), 2**63 - 1),
    pl.UInt64: st.integers(0, 2**64 - 1),
    pl.Int8: st.integers(-128, 127),
    pl.Float64: st.floats(allow_nan=False, allow_infinity=False),
    pl.Boolean: st.booleans(),
    pl.String: TEXTS,
    pl.Categorical: TEXTS,
    pl.Date: st.dates(),
    pl.Datetime("us"): st.datetimes(),
    pl.Datetime("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
    pl.Datetime("us", "Asia/Kolkata"): st.datetimes(datetime(2, 1, 1), timezones=st.just(UTC)),
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Draw a table with a column of whole numbers, so that no line of a CSV file is empty, and some others."""
    height = draw(st.integers(1, 12))
    columns = {"row": pl.Series(range(height), dtype=pl.Int64)}
    for name in draw(NAMES):
        dtype = draw(st.sampled_from(list(VALUES)))
        values = st.lists(st.none() | VALUES[dtype], min_size=height, max_size=height)
        columns[name] = pl.Series(draw(values), dtype=dtype)
    return pl.DataFrame(columns)


@settings(max_examples=100)
@given(frame=frames(), format_=st.sampled_from(FORMATS), separator=st.sampled_from(",;\t|"))
def test_what_is_exported_reads_back_as_the_same_values(frame: pl.DataFrame, format_: str, separator: str) -> None:
    null_value = "\ue000" if format_ == "csv" else ""  # no text is that: it is for private use
    texts = frame.select(pl.selectors.string() | pl.selectors.categorical())
    if any(null_value and null_value in column.cast(pl.String) for column in texts.get_columns()):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = write(frame, Path(folder), format_, null_value=null_value, separator=separator)
        found = read(path, frame, null_value=null_value, separator=separator)
    if format_ in ("parquet", "arrow"):
        assert_frame_equal(found, frame, check_dtypes=False, categorical_as_str=True)
    else:
        empty = [name for name in frame.columns if frame[name].null_count() == frame.height]
        assert_frame_equal(
            normalize(found).drop(empty), normalize(frame).drop(empty), check_dtypes=False, check_exact=True
        )
        assert all(found[name].null_count() == found.height for name in empty)


@settings(max_examples=100)
@given(
    frame=dataframes(
        min_cols=1, max_cols=6, min_size=1, max_size=6, excluded_dtypes=[pl.Object, pl.Int128, pl.UInt128]
    ),
    format_=st.sampled_from(["parquet", "arrow"]),
)
def test_the_binary_formats_keep_every_type(frame: pl.DataFrame, format_: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(frame, Path(folder), format_)
        found = (pl.read_parquet if format_ == "parquet" else pl.read_ipc)(path)
    assert_frame_equal(found, frame, check_dtypes=False, categorical_as_str=True)


REFUSED = [
    ("csv", pl.Series("x", [[1]]), "list"),
    ("csv", pl.Series("x", [{"a": 1}]), "struct"),
    ("csv", pl.Series("x", [b"\xff"]), "binary"),
    ("csv", pl.Series("x", [timedelta(seconds=1)]), "duration"),
    ("csv", pl.Series("x", ["", None]), "1 value is the text ''"),
    ("csv", pl.Series("x", ["", ""], dtype=pl.Categorical), "2 values are the text ''"),
    ("ndjson", pl.Series("x", [float("nan"), 1.0, float("inf")]), "2 values are NaN or infinite"),
    ("ndjson", pl.Series("x", [[1.0, float("nan")]]), "1 value is NaN or infinite"),
    ("ndjson", pl.Series("x", [{"a": [float("-inf")]}]), "1 value is NaN or infinite"),
    ("ndjson", pl.Series("x", [b"\xff"]), "binary"),
    ("ndjson", pl.Series("x", [timedelta(seconds=1)]), "duration"),
    ("ndjson", pl.Series("x", [time(1)]), "time"),
    ("ndjson", pl.Series("x", [[time(1)]]), "list"),
    ("ndjson", pl.Series("x", [], dtype=pl.Int64), "has no rows"),
]


@pytest.mark.parametrize(("format_", "column", "says"), REFUSED)
def test_what_would_not_come_back_is_refused_and_the_old_file_stays(
    format_: str, column: pl.Series, says: str, tmp_path: Path
) -> None:
    path = tmp_path / f"out.{format_}"
    path.write_text("before")
    with pytest.raises(DataError) as caught:
        write(pl.DataFrame({"row": range(len(column)), "x": column}), tmp_path, format_)
    assert says in str(caught.value)
    assert "write Parquet or Arrow" in str(caught.value)
    assert "'x'" in str(caught.value) or says == "has no rows"
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_numbers_that_are_not_finite_and_decimals_come_back_from_csv(tmp_path: Path) -> None:
    frame = pl.DataFrame({"f": [float("nan"), float("inf"), -0.0, None], "d": [Decimal("1.25"), None, None, None]})
    found = read(write(frame, tmp_path, "csv"), frame)
    assert_frame_equal(normalize(found), normalize(frame))


def test_a_table_without_rows_keeps_its_columns_except_in_ndjson(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": pl.Series([], dtype=pl.Int64), "b": pl.Series([], dtype=pl.String)})
    for format_ in ("parquet", "arrow", "csv"):
        assert read(write(frame, tmp_path, format_), frame).columns == ["a", "b"]
