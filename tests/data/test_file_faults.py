"""Files that cannot be read: the message says which dataset, which file, which line, and what to do."""

import gzip
import os
import re

import polars as pl
import pytest

from engine.data import explain_read_errors, verify_contract
from engine.errors import DataError

FRAME = pl.DataFrame({"a": range(1000), "b": [str(i) for i in range(1000)]})


def read(table):
    verify_contract(table)
    with explain_read_errors(table):
        table.frame.collect()


def failure(project, dataset):
    """Open, verify and read a dataset that cannot be; return what is said."""
    datasets = project({"t": dataset})
    with pytest.raises(DataError) as caught:
        read(datasets.open("t"))
    assert "polars." not in str(caught.value)
    return str(caught.value)


def says(message, *parts):
    at = 0
    for part in parts:
        found = message.find(part, at)
        assert found >= 0, f"{part!r} is not in {message!r} after {message[:at]!r}"
        at = found + len(part)


def test_a_missing_file_is_reported_with_the_files_there_are(project, tmp_path):
    (tmp_path / "transactions.csv").write_text("a\n1\n")
    says(
        failure(project, {"path": "transaction.csv"}),
        "dataset 't': there is no file ",
        "transaction.csv",
        "did you mean 'transactions.csv'?",
    )


def test_a_missing_folder_is_named(project):
    says(failure(project, {"path": "nowhere/t.csv"}), "there is no file", "nowhere/t.csv", "no folder", "nowhere")


def test_a_pattern_that_matches_nothing_is_named(project, tmp_path):
    (tmp_path / "q1.csv").write_text("a\n1\n")
    says(failure(project, {"path": "*.parquet"}), "dataset 't': no file matches", "*.parquet")


@pytest.mark.parametrize(
    ("name", "rows"), [("t.csv", b"a\nx\ny\n"), ("t.ndjson", b'{"a": 1}\n'), ("t.csv", b""), ("parts", b"a\n1\n")]
)
def test_a_text_that_ends_in_reserved_space_is_not_complete(project, tmp_path, name, rows):
    file = tmp_path / "parts" / "2.csv" if name == "parts" else tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(rows)
    os.truncate(file, 10 << 30)  # a hole, which needs no space on the disk
    message = failure(project, {"path": name})
    says(message, f"{file} ends in zero bytes, so it is not complete", "deliver the file again")


@pytest.mark.parametrize("name", ["t.csv", "t.ndjson", "parts"])
@pytest.mark.parametrize("text", ["", "k"], ids=["numbers", "texts"])
@pytest.mark.parametrize("blocks", [1, 16])
def test_a_text_with_reserved_space_inside_is_not_complete(project, tmp_path, name, text, blocks):
    file = tmp_path / "parts" / "2.csv" if name == "parts" else tmp_path / name
    file.parent.mkdir(exist_ok=True)
    if name == "parts":
        (tmp_path / "parts" / "1.csv").write_text(f"a,b\n{text}1,{text}2\n")
    value = f'"{text}%d"' if text else "%d"
    row, head = (f'{{"a": {value}, "b": {value}}}\n', "") if name == "t.ndjson" else (f"{text}%d,{text}%d\n", "a,b\n")
    content = bytearray((head + "".join(row % (i, i) for i in range(30_000))).encode())
    start, end = 10 * 4096 + 7, (10 + blocks) * 4096  # it begins within a block, where the last whole write ended
    content[start:end] = bytes(end - start)
    file.write_bytes(content)
    line = content[:start].count(b"\n") + 1
    says(failure(project, {"path": name}), f"{file}, line {line} has zero bytes before", "deliver the file again")


def test_zero_bytes_of_an_encoding_are_no_reserved_space(project, tmp_path):
    (tmp_path / "t.csv").write_bytes(("a,b\n" + "1,2\n" * 9_000).encode("utf-32-le"))
    datasets = project({"t": {"path": "t.csv", "csv": {"encoding": "utf-32-le"}}})
    assert datasets.open("t").frame.collect().height == 9_000


def test_an_end_of_fewer_zero_bytes_belongs_to_the_encoding(project, tmp_path):
    (tmp_path / "t.csv").write_bytes("a,b\n1,2\n".encode("utf-32-le"))
    datasets = project({"t": {"path": "t.csv", "csv": {"encoding": "utf-32-le"}}})
    assert datasets.open("t").frame.collect().to_dicts() == [{"a": 1, "b": 2}]


def test_a_folder_without_data(project, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "_SUCCESS").write_text("done")
    says(
        failure(project, {"path": "parts"}), "the folder ", "parts holds no data files", "1 file is left out: _SUCCESS"
    )


def test_a_file_without_permission_is_named(project, open_folder, as_nobody):
    (open_folder / "t.csv").write_text("a\n1\n")
    (open_folder / "t.csv").chmod(0)
    datasets = project({"t": {"path": f"{open_folder}/t.csv"}})
    with as_nobody(), pytest.raises(DataError) as caught:
        datasets.open("t")
    says(str(caught.value), "t.csv cannot be opened: Permission denied")


def test_a_link_to_nothing(project, tmp_path):
    (tmp_path / "t.csv").symlink_to("gone.csv")
    assert (
        failure(project, {"path": "t.csv"})
        == f"dataset 't': there is no file {tmp_path}/t.csv; there is only 'spec.yaml'"
    )


def test_a_pipe_is_refused(project, tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    says(failure(project, {"path": "t.csv"}), "t.csv is not a regular file")


def test_a_link_to_itself(project, tmp_path):
    (tmp_path / "t.csv").symlink_to("t.csv")
    says(failure(project, {"path": "t.csv"}), "t.csv cannot be opened: Too many levels of symbolic links")


@pytest.mark.parametrize("ending", ["csv", "parquet", "ndjson", "arrow"])
def test_an_empty_file(project, tmp_path, ending):
    (tmp_path / f"t.{ending}").touch()
    says(failure(project, {"path": f"t.{ending}"}), "dataset 't': ", f"t.{ending} is empty (0 bytes)")


def test_files_that_are_all_empty(project, tmp_path):
    (tmp_path / "1.csv").touch()
    (tmp_path / "2.csv").touch()
    says(failure(project, {"path": "*.csv"}), "1.csv is empty (0 bytes)")


def corrupt(content: bytes, how: str) -> bytes:
    return {
        "truncated": content[:-20],
        "half": content[: len(content) // 2],
        "zeroed": content[:4] + bytes(400) + content[404:],
        "footer": content[:-60] + b"\xff" * 40 + content[-20:],
        "text": b"this is not a table, whatever its name says",
    }[how]


@pytest.mark.parametrize("how", ["truncated", "half", "zeroed", "footer", "text"])
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_damaged_file_is_named(project, tmp_path, ending, how):
    FRAME.write_parquet(tmp_path / "1.parquet") if ending == "parquet" else FRAME.write_ipc(tmp_path / "1.arrow")
    content = (tmp_path / f"1.{ending}").read_bytes()
    (tmp_path / f"2.{ending}").write_bytes(corrupt(content, how))
    fault = failure(project, {"path": f"*.{ending}"})
    says(
        fault, "dataset 't': ", f"2.{ending} cannot be read, it ", "damaged" if how != "text" else "declare format: csv"
    )


@pytest.mark.parametrize("kept", [6, 100, 2000, 9000])
def test_an_arrow_stream_that_is_cut_off(project, tmp_path, kept):
    FRAME.write_ipc_stream(tmp_path / "t.arrow")
    (tmp_path / "t.arrow").write_bytes((tmp_path / "t.arrow").read_bytes()[:kept])
    says(failure(project, {"path": "t.arrow"}), "t.arrow cannot be read, it may be damaged")


def test_a_truncated_gzip(project, tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(FRAME.write_csv().encode())[:-50])
    says(failure(project, {"path": "t.csv.gz"}), "t.csv.gz cannot be unpacked, it may be damaged")


def test_a_line_with_too_many_fields(project, tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,"x\ny"\n3,4,5\n6,7\n')
    says(failure(project, {"path": "t.csv"}), "t.csv, line 4 has 3 fields where the first line has 2")


def test_a_line_with_too_many_fields_far_down(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 50_000 + "1,2,3\n")
    says(failure(project, {"path": "t.csv"}), "line 50002 has 3 fields where the first line has 2")


@pytest.mark.parametrize(("line", "has"), [("4", "1 field"), ("", "nothing")])
def test_a_line_with_too_few_fields(project, tmp_path, line, has):
    (tmp_path / "t.csv").write_text(f'a,b\n1,"x,y"\n2,"x\ny"\n{line}\n6,7\n')
    says(failure(project, {"path": "t.csv"}), f"t.csv, line 5 has {has} where the first line has 2")


def test_a_csv_cut_off_within_its_last_line(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n4,5")
    says(failure(project, {"path": "t.csv"}), "line 3 has 2 fields where the first line has 3")


def test_an_open_quote(project, tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,2\n"x,2\n3,4\n')
    says(failure(project, {"path": "t.csv"}), "t.csv, line 3: ", "is opened and never closed")


def test_a_file_that_is_cut_off_inside_a_quote(project, tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,"x, y"\n2,"z')
    says(failure(project, {"path": "t.csv"}), "t.csv, line 3: ", "never closed: the file may be cut off")


def test_a_csv_that_is_not_utf8(project, tmp_path):
    (tmp_path / "t.csv").write_bytes("a,b\n1,2\ncafé,1\n".encode("latin-1"))
    says(failure(project, {"path": "t.csv"}), "t.csv, line 3 is not UTF-8 (byte 0xe9)", "save the file as UTF-8")


def test_a_csv_that_is_not_in_its_encoding(project, tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,\x81\n")
    dataset = {"path": "t.csv", "csv": {"encoding": "cp1252"}}
    says(failure(project, dataset), "t.csv is not cp1252 (byte 0x81)", "encoding")


def test_a_value_that_is_not_of_the_type_found(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 20_000 + "x,3\ny,4\n")
    says(
        failure(project, {"path": "t.csv"}),
        "t.csv, column 'a' is read as integer, but line 20002 holds 'x', line 20003 holds 'y'",
        "columns: {a: {type: text}}",
        "null_values",
    )


def test_a_marker_of_missing_values_that_comes_late(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 20_000 + "n/a,3\n2.5,4\n")
    says(
        failure(project, {"path": "t.csv"}),
        "column 'a' is read as integer, but line 20002 holds 'n/a', line 20003 holds '2.5'",
        'declare columns: {a: {type: number}} and csv: {null_values: ["", "n/a"]}',
    )
    dataset = {"path": "t.csv", "columns": {"a": {"type": "number"}}, "csv": {"null_values": ["", "n/a"]}}
    read(project({"t": dataset}).open("t"))


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("integer", "1", "1.5"),
        ("number", "1.5", "one"),
        ("boolean", "true", "1"),
        ("date", "2017-10-01", "yesterday"),
        ("datetime", "2017-10-01T10:00:00", "noon"),
    ],
)
def test_a_value_that_is_not_of_the_type_declared(project, tmp_path, type_, good, bad):
    (tmp_path / "t.csv").write_text(f"a,b\n{good},1\n{bad},2\n")
    message = failure(project, {"path": "t.csv", "columns": {"a": {"type": type_}}})
    says(
        message,
        "dataset 't': ",
        f"column 'a' is read as {type_}",
        f"line 3 holds {bad!r}",
        f"type: {'number' if bad == '1.5' else 'text'}",
    )


@pytest.mark.parametrize(("key", "value"), [("separator", "§"), ("quote", "“"), ("separator", "\n")])
def test_a_csv_dialect_that_polars_cannot_read(project, tmp_path, key, value):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    said = failure(project, {"path": "t.csv", "csv": {key: value}})
    assert said == f"dataset 't': csv {key} {value!r} must be one ASCII character other than a line break"


def test_files_with_different_columns(project, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    says(failure(project, {"path": "*.csv"}), "2.csv has a column 'c', but ", "1.csv does not")


def test_files_that_lack_a_column(project, tmp_path):
    FRAME.write_parquet(tmp_path / "1.parquet")
    FRAME.drop("b").write_parquet(tmp_path / "2.parquet")
    says(failure(project, {"path": "*.parquet"}), "1.parquet has a column 'b', but ", "2.parquet does not")


def test_files_with_different_types(project, tmp_path):
    FRAME.write_parquet(tmp_path / "1.parquet")
    FRAME.with_columns(a="b").write_parquet(tmp_path / "2.parquet")
    says(failure(project, {"path": "*.parquet"}), "column 'a' is integer in", "1.parquet and text in", "2.parquet")


def test_csv_files_with_different_types(project, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,b\n1,two\n")
    message = failure(project, {"path": "*.csv"})
    says(message, "column 'b' is integer in", "1.csv and text in", "2.csv", "declare the type under columns")


def test_csv_files_with_columns_in_another_order(project, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("b,a\n1,2\n")
    says(failure(project, {"path": "*.csv"}), "2.csv has its columns in another order than 1.csv")


def test_a_bad_line_of_ndjson(project, tmp_path):
    (tmp_path / "t.ndjson").write_text('{"a": 1}\n\n{"a": \n{"a": 2}\n')
    says(failure(project, {"path": "t.ndjson"}), "t.ndjson, line 3, column ")


def test_ndjson_nested_without_end(project, tmp_path):
    (tmp_path / "t.ndjson").write_text('{"a": 1}\n' + '{"a":' * 100_000 + "\n")
    says(failure(project, {"path": "t.ndjson"}), "t.ndjson, line 2 is not JSON: ")


def test_a_line_of_ndjson_that_is_not_an_object(project, tmp_path):
    (tmp_path / "t.ndjson").write_text('{"a": 1}\n[1, 2]\n')
    says(failure(project, {"path": "t.ndjson"}), "t.ndjson, line 2 is not a JSON object")


def test_a_date_of_ndjson_that_is_none(project, tmp_path):
    (tmp_path / "t.ndjson").write_text('{"a": "2017-10-01"}\n{"a": "soon"}\n')
    says(failure(project, {"path": "t.ndjson", "columns": {"a": {"type": "date"}}}), "t.ndjson", "soon")


def test_a_file_that_vanishes_after_it_was_opened(project, tmp_path):
    FRAME.write_parquet(tmp_path / "t.parquet")
    table = project({"t": {"path": "t.parquet"}}).open("t")
    (tmp_path / "t.parquet").unlink()
    with pytest.raises(DataError, match=re.escape("dataset 't'")), explain_read_errors(table):
        table.frame.collect()


def test_an_unknown_dataset_is_named(project):
    datasets = project({"transactions": {"path": "t.csv"}})
    with pytest.raises(DataError, match=r"there is no dataset 'transaction'; did you mean 'transactions'\?"):
        datasets.open("transaction")


def test_a_header_that_says_a_name_twice(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n")
    says(failure(project, {"path": "t.csv"}), "dataset 't': ", "t.csv, line 1 names the column 'a' twice")
    (tmp_path / "t.csv").write_text("a,a_duplicated_0\n1,2\n")
    read(project({"t": {"path": "t.csv"}}).open("t"))


@pytest.mark.parametrize("name", ["*", "^a.*$"])
def test_a_column_that_is_called_like_a_pattern(project, tmp_path, name):
    pl.DataFrame({"a": [1], name: [2]}).write_parquet(tmp_path / "t.parquet")
    says(failure(project, {"path": "t.parquet"}), f"dataset 't' has a column {name!r}: ", "rename it")


def test_columns_without_a_name(project, tmp_path):
    (tmp_path / "t.csv").write_text("x,,\n1,2,3\n")
    says(failure(project, {"path": "t.csv"}), "t.csv, line 1 has no name for the columns 2, 3", "remove them")


def test_one_column_without_a_name_is_an_index(project, tmp_path):
    (tmp_path / "t.csv").write_text(",x\n0,5\n1,6\n")
    assert project({"t": {"path": "t.csv"}}).open("t").frame.collect().columns == ["", "x"]


@pytest.mark.parametrize("line", ['5" pipe,2', '2,pipe 5"'])
def test_a_quote_inside_a_value(project, tmp_path, line):
    (tmp_path / "t.csv").write_text(f"a,b\n{line}\n3,4\n")
    says(failure(project, {"path": "t.csv"}), "t.csv, line 2 holds", "with a quote", "csv: {quote: null}")
    declared = project({"t": {"path": "t.csv", "csv": {"quote": None}}}).open("t")
    assert ",".join(map(str, declared.frame.collect().row(0))) == line


def test_a_number_of_ndjson_that_json_does_not_have(project, tmp_path):
    (tmp_path / "t.ndjson").write_text('{"x": 1}\n{"x": NaN}\n')
    says(failure(project, {"path": "t.ndjson"}), "t.ndjson, line 2 is not JSON: NaN", "write null")


@pytest.mark.parametrize(("first", "second"), [("true", "0"), ("0", "true")])
def test_numbers_among_booleans_of_ndjson(project, tmp_path, first, second):
    (tmp_path / "t.ndjson").write_text(f'{{"x": {first}}}\n{{"x": {second}}}\n')
    says(failure(project, {"path": "t.ndjson"}), "t.ndjson, column 'x' holds", "in line 1, but", "in line 2")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["X", " x"])
def test_files_whose_columns_are_written_differently(project, tmp_path, ending, name):
    for file, column in (("a", "x"), ("b", name)):
        frame = pl.DataFrame({column: [1]})
        frame.write_csv(tmp_path / f"{file}.csv") if ending == "csv" else frame.write_parquet(
            tmp_path / f"{file}.parquet"
        )
    says(failure(project, {"path": f"*.{ending}"}), f"has a column {name!r}", "where it is written 'x'")
