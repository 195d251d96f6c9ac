"""Datasets of kind file that can be read: formats, endings, globs, types."""

import csv as python_csv
import gzip
from datetime import date, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.data import compute_dataset_metrics, verify_contract
from engine.errors import DataError

FRAME = pl.DataFrame({"n": [1, 2, None], "x": [0.5, None, 2.0], "s": ["a", "b", None]})


def rows(table):
    return table.frame.collect()


@pytest.mark.parametrize(
    "name", ["t.csv", "t.CSV", "t.csv.gz", "t.parquet", "t.pq", "t.ndjson", "t.jsonl.gz", "t.arrow"]
)
def test_the_format_is_taken_from_the_ending(project, tmp_path, name):
    path = tmp_path / name
    plain = name.lower().removesuffix(".gz")
    if plain.endswith(("parquet", "pq")):
        FRAME.write_parquet(path)
    elif plain.endswith("arrow"):
        FRAME.write_ipc(path)
    else:
        text = FRAME.write_csv() if plain.endswith("csv") else FRAME.write_ndjson()
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    table = project({"t": {"path": name}}).open("t")
    assert_frame_equal(rows(table), FRAME)


def test_a_declared_format_wins_over_the_ending(project, tmp_path):
    FRAME.write_parquet(tmp_path / "t.data")
    assert_frame_equal(rows(project({"t": {"path": "t.data", "format": "parquet"}}).open("t")), FRAME)


def test_a_path_starts_from_the_connection_or_from_the_spec(project, tmp_path):
    (tmp_path / "warehouse").mkdir()
    FRAME.write_parquet(tmp_path / "warehouse" / "t.parquet")
    datasets = project(
        {"a": {"connection": "local", "path": "t.parquet"}, "b": {"path": "warehouse/t.parquet"}},
        connections={"local": {"kind": "file", "root": "warehouse"}},
    )
    assert_frame_equal(rows(datasets.open("a")), rows(datasets.open("b")))


def test_a_csv_is_read_as_declared(project, tmp_path):
    (tmp_path / "t.csv").write_text("1,5;'a;b';NA\n2,25;c;7\n")
    csv = {"separator": ";", "quote": "'", "header": False, "null_values": ["NA"], "decimal_comma": True}
    table = project({"t": {"path": "t.csv", "csv": csv}}).open("t")
    assert rows(table).rows() == [(1.5, "a;b", None), (2.25, "c", 7)]


def test_dates_in_a_csv_are_dates(project, tmp_path):
    (tmp_path / "t.csv").write_text("day,at\n2017-10-01,2017-10-01T10:00:00\n,\n")
    table = project({"t": {"path": "t.csv"}}).open("t")
    assert rows(table).rows() == [(date(2017, 10, 1), datetime.fromisoformat("2017-10-01T10:00")), (None, None)]


def test_a_contract_says_how_a_csv_is_read(project, tmp_path):
    (tmp_path / "t.csv").write_text("zip,share,day\n01234,1,2017-10-01\n04321,2,2017-10-02\n")
    types = {"zip": {"type": "text"}, "share": {"type": "number"}, "day": {"type": "datetime"}}
    table = project({"t": {"path": "t.csv", "columns": types}}).open("t")
    assert rows(table).schema == {"zip": pl.String, "share": pl.Float64, "day": pl.Datetime("us")}
    assert rows(table)["zip"].to_list() == ["01234", "04321"]


def test_a_contract_reads_dates_in_ndjson(project, tmp_path):
    (tmp_path / "t.ndjson").write_text(
        '{"day": "2017-10-01", "at": "2017-10-01 10:00:00"}\n{"day": null, "at": null}\n'
    )
    types = {"day": {"type": "date"}, "at": {"type": "datetime"}}
    table = project({"t": {"path": "t.ndjson", "columns": types}}).open("t")
    assert rows(table).rows() == [(date(2017, 10, 1), datetime.fromisoformat("2017-10-01T10:00")), (None, None)]


def test_a_key_that_first_appears_late_is_a_column_of_ndjson(project, tmp_path):
    (tmp_path / "t.ndjson").write_text('{"a": 1}\n' * 20_000 + '{"a": 2, "b": "x"}\n')
    assert rows(project({"t": {"path": "t.ndjson"}}).open("t"))["b"].drop_nulls().to_list() == ["x"]


def test_a_glob_unites_files_in_order_of_name(project, tmp_path):
    for quarter in (3, 1, 2):
        (tmp_path / "q" / str(quarter)).mkdir(parents=True)
        pl.DataFrame({"q": [quarter]}).write_parquet(tmp_path / "q" / str(quarter) / "t.parquet")
    (tmp_path / "q" / "4.parquet").mkdir()
    assert rows(project({"t": {"path": "q/*/*.parquet"}}).open("t"))["q"].to_list() == [1, 2, 3]
    assert rows(project({"t": {"path": "q/**/*.parquet"}}).open("t"))["q"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson", "arrow"])
def test_a_name_with_brackets_is_a_name_where_such_a_file_exists(project, tmp_path, ending):
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    path = tmp_path / f"t[1].{ending}"
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "ndjson": frame.write_ndjson, "arrow": frame.write_ipc}[
        ending
    ](path)
    datasets = project({"t": {"path": path.name}})
    table = datasets.open("t")
    verify_contract(table)
    assert_frame_equal(rows(table), frame)


def test_files_of_a_glob_are_widened_to_a_common_type(project, tmp_path):
    (tmp_path / "1.csv").write_text("n,x,d\n1,2,2017-10-01\n")
    (tmp_path / "2.csv").write_text("n,x,d\n1,2.5,2017-10-01T10:00:00\n")
    (tmp_path / "3.csv").write_text("n,x,d\n,,\n")
    (tmp_path / "4.csv").write_text("n,x,d\n")
    schema = rows(project({"t": {"path": "*.csv"}}).open("t")).schema
    assert schema == {"n": pl.Int64, "x": pl.Float64, "d": pl.Datetime("us")}


@pytest.mark.parametrize("write", ["write_parquet", "write_ipc"])
def test_widths_and_order_of_columns_may_differ_between_typed_files(project, tmp_path, write):
    getattr(pl.DataFrame({"a": [1], "b": ["x"]}, schema_overrides={"a": pl.Int16}), write)(tmp_path / "1.dat")
    getattr(pl.DataFrame({"b": ["y"], "a": [2]}), write)(tmp_path / "2.dat")
    getattr(pl.DataFrame({"b": [None], "a": [None]}), write)(tmp_path / "3.dat")
    format_ = "parquet" if write == "write_parquet" else "arrow"
    table = project({"t": {"path": "*.dat", "format": format_}}).open("t")
    assert rows(table).rows() == [(1, "x"), (2, "y"), (None, None)]
    assert compute_dataset_metrics(table, ["sum.a"]) == {"sum.a": 3.0}


def test_ndjson_files_may_lack_columns(project, tmp_path):
    (tmp_path / "1.ndjson").write_text('{"a": 1}\n')
    (tmp_path / "2.ndjson").write_text('{"a": 2.5, "b": "x"}\n')
    assert rows(project({"t": {"path": "*.ndjson"}}).open("t")).rows() == [(1.0, None), (2.5, "x")]


def test_a_csv_without_rows_is_a_table_without_rows(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n")
    datasets = project({"t": {"path": "t.csv", "columns": {"a": {"type": "integer", "required": True, "min": 1}}}})
    table = datasets.open("t")
    verify_contract(table)
    assert compute_dataset_metrics(table, ["row_count", "mean.a", "missing_share.b"]) == {
        "row_count": 0.0,
        "mean.a": None,
        "missing_share.b": None,
    }


def test_the_declared_columns_name_those_of_a_file_without_a_header(project, tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"1\ta\n2\t\n"))
    csv = {"separator": "\t", "header": False}
    columns = {"n": {"type": "integer"}, "s": {"type": "text"}}
    table = project({"t": {"path": "t.csv.gz", "csv": csv, "columns": columns}}).open("t")
    assert table.frame.collect().rows(named=True) == [{"n": 1, "s": "a"}, {"n": 2, "s": None}]


def test_declared_names_of_polars_are_not_in_order(project, tmp_path):
    (tmp_path / "t.csv").write_text("1,a\n")
    columns = {"column_1": {"type": "text"}, "column_0": {}}
    table = project({"t": {"path": "t.csv", "csv": {"header": False}, "columns": columns}}).open("t")
    assert table.frame.collect().row(0, named=True) == {"column_0": 1, "column_1": "a"}


def test_another_number_of_columns_than_declared_is_reported(project, tmp_path):
    (tmp_path / "t.csv").write_text("1,a,b\n")
    csv = {"header": False}
    with pytest.raises(DataError, match=r"t\.csv has 3 columns, but the spec declares 2: without a header"):
        project({"t": {"path": "t.csv", "csv": csv, "columns": {"n": {}, "s": {}}}}).open("t")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_escaped_characters_are_read_as_python_reads_them(project, tmp_path, ending):
    text = 'n\ts\n1\t"a \\"b\\" \\\\ c"\n2\t"d\\te"\n3\t"two\nlines"\n4\t"x""y"\n'
    (tmp_path / f"t.csv{ending}").write_bytes(gzip.compress(text.encode()) if ending else text.encode())
    csv = {"separator": "\t", "escape": "\\"}
    found = project({"t": {"path": f"t.csv{ending}", "csv": csv}}).open("t").frame.collect()
    expected = list(python_csv.reader(text.splitlines(keepends=True), delimiter="\t", escapechar="\\"))[1:]
    assert [list(row) for row in found.cast(pl.String).rows()] == expected
