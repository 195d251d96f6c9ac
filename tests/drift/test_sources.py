"""Whatever holds a table is read, and holds the same whatever it was."""

import gzip
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.drift import Role, profile, roles
from engine.drift.reading.sources import scan_table
from engine.errors import DataError

TABLE = pl.DataFrame({"n": [1, None, 3], "x": [0.5, None, -1.0], "t": ["a", None, ""], "d": [date(2017, 1, 2)] * 3})


class Stream:
    """Offers an Arrow stream and nothing else."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.held.__arrow_c_stream__(requested_schema)


def test_a_lazy_frame_is_taken_as_it_is():
    lazy = TABLE.lazy()
    assert scan_table(lazy) is lazy
    assert_frame_equal(scan_table(TABLE).collect(), TABLE)
    assert_frame_equal(scan_table(TABLE.clear()).collect(), TABLE.clear())


def test_an_arrow_stream_without_pyarrow():
    assert_frame_equal(scan_table(Stream(TABLE)).collect(), TABLE)
    assert_frame_equal(scan_table([Stream(TABLE), TABLE]).collect(), pl.concat([TABLE, TABLE]))
    assert_frame_equal(scan_table(Stream(part) for part in (TABLE[:1], TABLE[1:])).collect(), TABLE)


def test_pyarrow_in_any_form():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({name: TABLE[name].to_list() for name in TABLE.columns})
    batches = table.to_batches(max_chunksize=2)
    for data in (table, batches, iter(batches), pa.RecordBatchReader.from_batches(table.schema, batches)):
        assert_frame_equal(scan_table(data).collect(), TABLE)
    assert_frame_equal(scan_table(batches[0]).collect(), TABLE[:2])
    encoded = table.set_column(2, "t", table["t"].dictionary_encode())
    assert_frame_equal(scan_table(encoded).collect(), TABLE.with_columns(pl.col("t").cast(pl.Categorical)))


@pytest.mark.parametrize("name", ["t.parquet", "T.PQ", "t.csv", "t.csv.gz", "t.arrow", "t.ipc", "t.feather"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_read_by_its_ending(tmp_path: Path, name: str, kind: Any):
    table = TABLE.with_columns(pl.col("t").fill_null("b"))
    if name.lower().endswith((".parquet", ".pq")):
        table.write_parquet(tmp_path / name)
    elif ".csv" in name:
        text = table.write_csv().encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    else:
        table.write_ipc(tmp_path / name)
    assert_frame_equal(scan_table(kind(tmp_path / name)).collect(), table)


def test_folders_and_globs(tmp_path: Path):
    for part, at in zip((TABLE[:1], TABLE[1:]), ("year=2016/a.parquet", "year=2017/deep/b.pq"), strict=True):
        (tmp_path / at).parent.mkdir(parents=True)
        part.write_parquet(tmp_path / at)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "year=2016" / ".b.parquet").write_text("not finished")
    (tmp_path / "_temporary").mkdir()
    TABLE.write_parquet(tmp_path / "_temporary" / "c.parquet")
    for path in (tmp_path, f"{tmp_path}/**/*.p*q*"):
        assert_frame_equal(scan_table(path).collect(), TABLE.with_columns(year=pl.Series([2016, 2017, 2017])))
    TABLE.write_parquet(tmp_path / "a[1].parquet")
    assert_frame_equal(scan_table(tmp_path / "a[1].parquet").collect(), TABLE)


def test_data_that_cannot_be_read_are_reported(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<x/>")
    TABLE.write_csv(tmp_path / "t.csv")
    for data, problem in (
        (42, "int is not a table; give a polars or pandas DataFrame, a LazyFrame"),
        ({"a": [1]}, "dict is not a table"),
        ([], "list is not a table"),
        ([TABLE, 1], "list is not a table"),
        (np.zeros((2, 2)), "numpy.ndarray is not a table"),
        ([TABLE, TABLE[["n"]]], "the record batches differ in their columns"),
        (Stream(TABLE["n"]), "Stream is not a table: invalid series dtype"),
        (tmp_path / "none.parquet", f"there is no file {tmp_path / 'none.parquet'}"),
        (tmp_path / "none*.parquet", "no file matches"),
        (tmp_path / "empty", "holds no data files"),
        (tmp_path / "broken.parquet", "broken.parquet cannot be read"),
        (tmp_path / "t.xlsx", "t.xlsx is a spreadsheet, which cannot be read: save the sheet as CSV"),
        (tmp_path / "[bt]*[tv]", "files of several formats cannot be one table"),
    ):
        with pytest.raises(DataError) as caught:
            scan_table(data)
        assert problem in str(caught.value)


PANDAS = """
import sys
import numpy as np, pandas as pd
from datetime import date, timedelta
from decimal import Decimal
stamps = pd.Series(["2017-01-01 12:00", None], dtype="datetime64[us]")
frame = pd.DataFrame({
    "f64": [1.5, np.nan], "f32": np.array([0.5, np.nan], "f4"), "i8": np.array([1, 2], "i1"),
    "u64": np.array([2**64 - 1, 0], "u8"), "bool": [True, False],
    "Int64": pd.array([2**53 + 1, None], "Int64"), "Float32": pd.array([0.5, None], "Float32"),
    "boolean": pd.array([True, None], "boolean"), "UInt8": pd.array([1, 255], "UInt8"),
    "object": pd.Series(["a", None], dtype=object), "nan": pd.Series(["a", np.nan], dtype=object),
    "NA": pd.Series([True, pd.NA], dtype=object), "mixed": pd.Series([1, 2.5], dtype=object),
    "text": pd.Series(["a", None], dtype="str"), "string": pd.array(["a", None], "string"),
    "no text": pd.Series([None, None], dtype="str"), "nothing": pd.Series([None, None], dtype=object),
    "category": pd.Categorical(["b", None], categories=["a", "b"]), "levels": pd.Categorical([1.0, 2.5]),
    "s": stamps.astype("datetime64[s]"), "ns": stamps.astype("datetime64[ns]"),
    "tz": stamps.dt.tz_localize("Europe/Paris"), "took": pd.Series([timedelta(milliseconds=1), None], dtype="m8[ns]"),
    "date": [date(2017, 1, 2), None], "decimal": [Decimal("1.10"), None],
    "sparse": pd.arrays.SparseArray([0, 7]), 9: [1, 2],
})
frame.index = ["x", "y"]
"""


def expected() -> pl.DataFrame:
    noon = datetime(2017, 1, 1, 12)
    return pl.DataFrame(
        {
            "f64": [1.5, None],
            "f32": pl.Series([0.5, None], dtype=pl.Float32),
            "i8": pl.Series([1, 2], dtype=pl.Int8),
            "u64": pl.Series([2**64 - 1, 0], dtype=pl.UInt64),
            "bool": [True, False],
            "Int64": [2**53 + 1, None],
            "Float32": pl.Series([0.5, None], dtype=pl.Float32),
            "boolean": [True, None],
            "UInt8": pl.Series([1, 255], dtype=pl.UInt8),
            "object": ["a", None],
            "nan": ["a", None],
            "NA": [True, None],
            "mixed": [1.0, 2.5],
            "text": ["a", None],
            "string": ["a", None],
            "no text": pl.Series([None, None], dtype=pl.String),
            "nothing": [None, None],
            "category": pl.Series(["b", None], dtype=pl.Enum(["a", "b"])),
            "levels": pl.Series(["1", "2.5"], dtype=pl.Enum(["1", "2.5"])),
            "s": pl.Series([noon, None], dtype=pl.Datetime("ms")),
            "ns": pl.Series([noon, None], dtype=pl.Datetime("ns")),
            "tz": pl.Series([datetime(2017, 1, 1, 11, tzinfo=UTC), None]).dt.convert_time_zone("Europe/Paris"),
            "took": pl.Series([timedelta(milliseconds=1), None], dtype=pl.Duration("ns")),
            "date": [date(2017, 1, 2), None],
            "decimal": [Decimal("1.10"), None],
            "sparse": [0, 7],
            "9": [1, 2],
        }
    )


@pytest.mark.parametrize("pyarrow", ["", "sys.modules['pyarrow'] = None"])
def test_pandas_with_and_without_pyarrow(tmp_path: Path, pyarrow: str):
    pytest.importorskip("pandas")
    code = (
        f"import sys\n{pyarrow}\n{PANDAS}\nfrom engine.drift.reading.sources import scan_table\nimport polars as pl\n"
    )
    code += "scan_table(frame).collect().write_ipc(sys.argv[1]); "
    code += "assert scan_table(frame.iloc[:0]).collect().shape == (0, 27)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "t.arrow"], check=True)
    found, wanted = pl.read_ipc(tmp_path / "t.arrow"), expected()
    for name in wanted.columns:
        assert_frame_equal(found.select(name), wanted.select(name))
    assert found.columns == wanted.columns


def test_pandas_columns_held_by_arrow():
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None, 3], dtype=pd.ArrowDtype(pa.int64())),
            "x": pd.array([0.5, None, -1.0], dtype=pd.ArrowDtype(pa.float64())),
            "t": pd.array(["a", None, ""], dtype=pd.ArrowDtype(pa.string())),
            "d": pd.array([date(2017, 1, 2)] * 3, dtype=pd.ArrowDtype(pa.date32())),
        }
    )
    assert_frame_equal(scan_table(frame).collect(), TABLE)
    assert_frame_equal(scan_table([frame, TABLE]).collect(), pl.concat([TABLE, TABLE]))


def test_what_pandas_may_hold_and_nobody_compares():
    pd = pytest.importorskip("pandas")
    for column, dtype, values in (
        (pd.Series([3.0, "a", True, None], dtype=object), pl.String, ["3", "a", "true", None]),
        (pd.Series([UUID(int=1)]), pl.String, ["00000000-0000-0000-0000-000000000001"]),
        (pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1])), pl.String, ["(0, 1]"]),
        (pd.cut(pd.Series([0.5]), [0, 1]), pl.Enum(["(0, 1]"]), ["(0, 1]"]),
        (pd.Series([pd.Period("2017"), None]), pl.Datetime("us"), [datetime(2017, 1, 1), None]),
    ):
        found = scan_table(pd.DataFrame({"c": column})).collect()["c"]
        assert found.to_list() == values
        assert found.dtype == dtype
    for column in (pd.Series([1j]), pd.Series([{1}])):
        assert roles(pd.DataFrame({"c": column, "x": 1.0})) == (
            {"x": Role.NUMERICAL},
            {"c": "Object values are not compared"},
        )
    with pytest.raises(DataError, match="several columns of the pandas DataFrame are named 'a'"):
        scan_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match=r"pandas.*Series is not a table"):
        scan_table(pd.Series([1], name="a"))


def test_a_profile_of_a_folder_tells_what_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "_b"):
        pl.DataFrame({"x": [1, 2]}).write_csv(tmp_path / f"{name}.csv")
    assert profile(tmp_path).rows == 2
    assert any("1 file is left out: _b.csv" in one.message for one in caplog.records if one.name == "engine.drift")
