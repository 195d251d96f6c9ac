"""Columns of text that are numbers, dates or booleans in another notation: read where certain, told where not."""

from datetime import date, datetime

import polars as pl
import pytest

from engine.data import explain_read_errors, verify_contract
from engine.drift import compare, roles
from engine.errors import DataError


def write_csv(tmp_path, rows, name="t.csv"):
    (tmp_path / name).write_text("\n".join(["x;y", *(f"{row};1" for row in rows)]) + "\n", encoding="utf-8")


def read(project, columns=None, **csv):
    table = project({"t": {"path": "t.csv", "csv": {"separator": ";", **csv}, "columns": columns or {}}}).open("t")
    verify_contract(table)
    with explain_read_errors(table):
        return table.frame.collect()["x"].to_list(), table.files


@pytest.mark.parametrize(
    ("texts", "csv", "values"),
    [
        (["NA", "1", "2"], {}, [None, 1, 2]),
        (["n/a", "1.5", "-"], {}, [None, 1.5, None]),
        (["nan", "1", "NaN"], {}, [None, 1, None]),
        (["TRUE", "NULL", "FALSE"], {}, [True, None, False]),
        (["2025-01-31", "?"], {}, [date(2025, 1, 31), None]),
        (["1,234.50", "2", "-3,000.00"], {}, [1234.5, 2, -3000]),
        (["$1,234.50", "$2.00", "-$5.00", "($1.00)"], {}, [1234.5, 2, -5, -1]),
        (["12.5%", "3%"], {}, [12.5, 3]),
        (["1.234,50", "2,5", "7"], {"decimal_comma": True}, [1234.5, 2.5, 7]),
        (["1.234,50-", "2,50"], {"decimal_comma": True}, [-1234.5, 2.5]),
        (["12,50 €", "1.200,00 €"], {"decimal_comma": True}, [12.5, 1200]),
        (["1\u202f234,5", "2,5"], {"decimal_comma": True}, [1234.5, 2.5]),
        (["1'234.50", "2"], {}, [1234.5, 2]),
        (["1.234", "5.678"], {"decimal_comma": True, "thousands": "."}, [1234, 5678]),
        (["1,234", "5"], {"thousands": ","}, [1234, 5]),
        (["+1", " 2 "], {}, [1, 2]),
        (["(5)", "7-", "\u22123", "4"], {}, [-5, -7, -3, 4]),
        (["(1.5)", "2"], {}, [-1.5, 2]),
        (["13/02/2025", "03/04/2025"], {}, [date(2025, 2, 13), date(2025, 4, 3)]),
        (["02/13/2025", "03/04/2025"], {}, [date(2025, 2, 13), date(2025, 3, 4)]),
        (["01/02/2025"], {"date_order": "mdy"}, [date(2025, 1, 2)]),
        (["01/02/25"], {"date_order": "dmy"}, [date(2025, 2, 1)]),
        (["13.02.2025 10:30", "3.4.2025 9:05"], {}, [datetime(2025, 2, 13, 10, 30), datetime(2025, 4, 3, 9, 5)]),
        (["2/13/2025 1:05 PM"], {}, [datetime(2025, 2, 13, 13, 5)]),
        (["2025-01-05", "2025-01-06 10:00:00"], {}, [datetime(2025, 1, 5), datetime(2025, 1, 6, 10)]),
    ],
)
def test_what_is_certain_is_read_and_said(project, tmp_path, texts, csv, values):
    write_csv(tmp_path, texts)
    found, files = read(project, **csv)
    assert found == values
    assert files.warnings == ()
    assert "column 'x' is read as " in files.notes[0]


@pytest.mark.parametrize(
    ("texts", "csv", "advice"),
    [
        (["1,234", "5,678"], {}, "csv: {thousands: \",\"} if ',' stands between thousands, csv: {decimal_comma: true}"),
        (["1,5", "2,25"], {}, "declare csv: {decimal_comma: true}"),
        (["1.234,50", "2,5"], {}, 'declare csv: {decimal_comma: true, thousands: "."}'),
        (["1.234", "5.678"], {"decimal_comma": True}, 'thousands: "."'),
        (["0.55", "0.25"], {"decimal_comma": True}, "decimal_comma: false"),
        (["03/04/2025", "05/06/2025"], {}, "declare csv: {date_order: dmy} or csv: {date_order: mdy}"),
        (["601 234 567", "602 345 678"], {}, "type: text"),
        ([*["1.5"] * 99, "TOTAL"], {}, "line 101 of t.csv holds 'TOTAL': correct 'TOTAL' or remove its line"),
        ([*["2025-01-02 10:00:00"] * 99, "TOTAL"], {}, "line 101 of t.csv holds 'TOTAL'"),
    ],
)
def test_what_is_not_certain_stays_text_and_a_warning_names_the_key(project, tmp_path, texts, csv, advice):
    write_csv(tmp_path, texts)
    found, files = read(project, **csv)
    assert found == texts
    assert "column 'x' is text, but " in files.warnings[0]
    assert advice in files.warnings[0]
    assert read(project, {"x": {"type": "text"}}, **csv)[1].warnings == ()


@pytest.mark.parametrize("texts", [["NA", "DE", "US"], ["10.0.0.1", "10.0.0.2"], ["1.2.3", "1.10.25"], ["a1", "b2"]])
def test_what_is_text_stays_text_without_a_word(project, tmp_path, texts):
    write_csv(tmp_path, texts)
    found, files = read(project)
    assert (found, files.notes, files.warnings) == (texts, (), ())


def test_numbers_with_leading_zeros_are_codes(project, tmp_path):
    write_csv(tmp_path, ["00101", "12345"])
    found, files = read(project)
    assert found == ["00101", "12345"]
    assert "leading zeros such as '00101' are codes" in files.notes[0]
    assert read(project, {"x": {"type": "integer"}})[0] == [101, 12345]


def test_amounts_in_several_currencies_are_not_read_as_numbers(project, tmp_path):
    write_csv(tmp_path, [*["$1.00"] * 19, "€2.00"])
    found, files = read(project)
    assert found[0] == "$1.00"
    assert "holds '€2.00'" in files.warnings[0]


def test_a_declared_type_reads_what_is_certain_and_refuses_what_is_not(project, tmp_path):
    write_csv(tmp_path, ["$1,234.50", "NA"])
    assert read(project, {"x": {"type": "number"}})[0] == [1234.5, None]
    write_csv(tmp_path, ["03/04/2025", "05/06/2025"])
    with pytest.raises(DataError, match=r"'03/04/2025' can be read in several ways: declare csv: {date_order: dmy}"):
        read(project, {"x": {"type": "date"}})


def test_a_value_after_the_first_rows_that_does_not_fit_names_its_line(project, tmp_path):
    write_csv(tmp_path, [*["1.234,50"] * 20_000, "12.34"])
    with pytest.raises(DataError, match=r"column 'x' is read as number, but line 20002 holds '12.34'"):
        read(project, decimal_comma=True)


def test_the_files_of_a_pattern_are_recognized_together(project, tmp_path):
    write_csv(tmp_path, ["03/04/2025"], "1.csv")
    write_csv(tmp_path, ["13/04/2025"], "2.csv")
    write_csv(tmp_path, ["NA"], "3.csv")
    table = project({"t": {"path": "*.csv", "csv": {"separator": ";"}}}).open("t")
    assert table.frame.collect()["x"].to_list() == [date(2025, 4, 3), date(2025, 4, 13), None]


def test_another_reading_is_another_fingerprint(project, tmp_path):
    write_csv(tmp_path, ["1,234", "5,678"])
    one, other = ({"path": "t.csv", "csv": {"separator": ";", **csv}} for csv in ({}, {"thousands": ","}))
    datasets = project({"one": one, "other": other})
    assert datasets.open("one").fingerprint != datasets.open("other").fingerprint


def test_texts_of_formats_with_types_are_read_once_their_type_is_declared(project, tmp_path):
    frame = pl.DataFrame({"n": ["1", "2.5"], "p": ["1,234.50", "NA"], "d": ["13/01/2025", "02/02/2025"]})
    frame.write_parquet(tmp_path / "t.parquet")
    table = project({"t": {"path": "t.parquet"}}).open("t")
    assert table.frame.collect().rows() == frame.rows()
    assert [warning.partition(" is text, but ")[0] for warning in table.files.warnings] == [
        "column 'n'",
        "column 'p'",
        "column 'd'",
    ]
    assert "declare columns: {n: {type: number}}" in table.files.warnings[0]
    types = {"n": {"type": "number"}, "p": {"type": "number"}, "d": {"type": "date"}}
    table = project({"t": {"path": "t.parquet", "columns": types}}).open("t")
    assert table.files.warnings == ()
    assert table.frame.collect().rows() == [(1.0, 1234.5, date(2025, 1, 13)), (2.5, None, date(2025, 2, 2))]


def test_a_text_that_looks_like_a_number_is_not_left_out_as_an_identifier():
    texts = [f"{i:,}.50" for i in range(1000, 2000)]
    _, left_out = roles(pl.DataFrame({"price": texts, "key": [f"k{i}" for i in range(1000)]}))
    assert left_out["price"].startswith("text that looks like numbers with ',' between thousands, such as '1,000.50'")
    assert left_out["key"] == "an identifier: nearly every value is different"


@pytest.mark.parametrize(
    ("name", "values", "times"),
    [
        ("x", [1735689600000 + 3600000 * i for i in range(20)], "milliseconds since 1970"),
        ("created_at", [1735689600 + 3600 * i for i in range(20)], "seconds since 1970"),
        ("x", [20250101 + i for i in range(20)], "dates written as 20251231"),
        ("customer", [1735689600 + 3600 * i for i in range(20)], None),
        ("x", [20250191 + i for i in range(20)], None),
        ("x", list(range(20)), None),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_whole_numbers_that_are_times_are_reported(project, tmp_path, name, values, times, ending):
    frame = pl.DataFrame({name: values, "y": 1})
    getattr(frame, f"write_{ending}")(tmp_path / f"t.{ending}")
    table = project({"t": {"path": f"t.{ending}"}}).open("t")
    assert [warning.partition(": a time")[0] for warning in table.warnings] == (
        [f"column {name!r} holds whole numbers that look like {times}"] if times else []
    )
    assert project({"t": {"path": f"t.{ending}", "columns": {name: {"role": "ignore"}}}}).open("t").warnings == ()


def test_the_texts_of_a_function_are_looked_at_too(project, tmp_path):
    (tmp_path / "own.py").write_text(
        "import polars as pl\n\ndef read():\n    return pl.DataFrame({'p': ['1,234.50', '2.00'], 'k': ['a', 'b']})\n"
    )
    table = project({"t": {"kind": "python", "function": "own:read"}}).open("t")
    assert "column 'p' is text, but all of its values read as numbers with ',' between thousands" in table.warnings[0]
    assert "columns: {p: {type: number}}" in table.warnings[0]


def test_the_library_reads_and_tells_the_same(tmp_path):
    for name, step in (("ref.csv", 1), ("cur.csv", 2)):
        rows = [f'{"NA" if i % 10 == 0 else i * step % 50},"{i % 9 + 1},{100 + i:03}"' for i in range(500)]
        (tmp_path / name).write_text("\n".join(["n,p", *rows]) + "\n")
    found = compare(str(tmp_path / "ref.csv"), tmp_path / "cur.csv")
    assert found.columns["n"].role == "numerical"
    assert "reference: column 'n' is read as integer: 'NA' means missing" in found.notes
    assert any(
        note.startswith("batch: column 'p' is text, but all of its values read as numbers") for note in found.notes
    )


@pytest.mark.parametrize(
    ("first", "said"),
    [("NA", "its first values are all 'NA'"), ("", "has no value in the first 10,000 rows, so it is read as text")],
)
def test_a_column_without_a_value_in_the_first_rows_is_reported(project, tmp_path, first, said):
    write_csv(tmp_path, [first] * 10_000 + ["5"] * 10)
    assert said in read(project)[1].warnings[0]
    values, files = read(project, {"x": {"type": "integer"}}, null_values=["", "NA"])
    assert values[-1] == 5
    assert files.warnings == ()


def test_a_decimal_comma_that_leaves_no_doubt_is_read_once_the_type_is_declared(project, tmp_path):
    pl.DataFrame({"p": ["0,5", "12,25"]}).write_parquet(tmp_path / "t.parquet")
    table = project({"t": {"path": "t.parquet", "columns": {"p": {"type": "number"}}}}).open("t")
    assert table.frame.collect()["p"].to_list() == [0.5, 12.25]
    pl.DataFrame({"p": ["1,234", "5,678"]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="'1,234' can be read in several ways"):
        project({"t": {"path": "t.parquet", "columns": {"p": {"type": "number"}}}}).open("t")


@pytest.mark.parametrize(
    ("texts", "csv", "values"),
    [
        (["3.0", "4", "NA"], {}, [3, 4, None]),
        (["1e3", "2"], {}, [1000, 2]),
        (["3,0", "4"], {"decimal_comma": True}, [3, 4]),
        (["1,000", "2"], {"thousands": ","}, [1000, 2]),
        (["1,000", "2"], {}, [1000, 2]),
    ],
)
def test_whole_numbers_with_a_fraction_of_zero_are_integers_as_declared(project, tmp_path, texts, csv, values):
    write_csv(tmp_path, texts)
    assert read(project, {"x": {"type": "integer"}}, **csv)[0] == values
    pl.DataFrame({"x": ["3.0", "4"]}).write_parquet(tmp_path / "t.parquet")
    table = project({"t": {"path": "t.parquet", "columns": {"x": {"type": "integer"}}}}).open("t")
    verify_contract(table)
    assert table.frame.collect()["x"].to_list() == [3, 4]


def test_a_negative_number_in_another_notation_is_reported(project, tmp_path):
    write_csv(tmp_path, ["4", "(5)"])
    assert read(project)[1].notes == ("column 'x' is read as integer, where '(5)' is below zero",)


@pytest.mark.parametrize(
    ("first", "second"), [("2025-01-02", "02.01.2025"), ("2025-01-02", "13.01.2025"), ("13/01/2025", "01/13/2025")]
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_dates_in_several_orders_are_reported(project, tmp_path, first, second, ending):
    for name, text in (("a", first), ("b", second)):
        frame = pl.DataFrame({"x": [text] * 3, "y": [1, 2, 3]})
        path = tmp_path / f"{name}.{ending}"
        frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
    table = project({"t": {"path": f"*.{ending}"}}).open("t")
    assert table.frame.collect()["x"].to_list() == [first] * 3 + [second] * 3
    (said,) = table.files.warnings
    assert "column 'x' is text, but 50 % of its values read as dates in the order" in said
    assert repr(second) in said
    assert "write all its dates in one order, such as 2025-12-31" in said


def test_numbers_of_versions_are_not_dates(project, tmp_path):
    write_csv(tmp_path, ["1.10.25", "2.11.26", "2025-01-01"])
    assert read(project)[1].warnings == ()
