"""Which files are read, in which format, and which columns the names of their folders hold."""

import gzip
import json
import zipfile
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.data import explain_read_errors, verify_contract
from engine.drift.reading.file_scans import scan_arrow_stream
from engine.errors import DataError

FRAME = pl.DataFrame({"a": [1, 2, 3], "t": ["x", "y", None]})


def read(project, **dataset):
    table = project({"t": dataset}).open("t")
    verify_contract(table)
    with explain_read_errors(table):
        return table.frame.collect(), table


def refusal(project, **dataset):
    with pytest.raises(DataError) as caught:
        read(project, **dataset)
    return str(caught.value)


def write(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    writers = {".parquet": frame.write_parquet, ".csv": frame.write_csv, ".ndjson": frame.write_ndjson}
    writers.get(path.suffix, frame.write_ipc)(path)


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson", "arrow"])
@pytest.mark.parametrize("path", ["out", "out/**/*.{}"])
def test_folders_of_an_engine_are_columns_and_its_marks_no_data(project, tmp_path, ending, path):
    write(FRAME, tmp_path / f"out/country=DE/day=2025-01-01/n=7/part-0.{ending}")
    write(FRAME, tmp_path / f"out/country=A%20B/day=2025-01-02/n=8/part-0.{ending}")
    write(FRAME, tmp_path / f"out/country=__HIVE_DEFAULT_PARTITION__/day=2025-01-02/n=9/part-0.{ending}")
    write(FRAME, tmp_path / f"out/_temporary/0/country=X/day=2025-01-02/n=9/part-1.{ending}")
    (tmp_path / f"out/country=DE/day=2025-01-01/n=7/part-1.{ending}").touch()
    (tmp_path / f"out/country=DE/day=2025-01-01/n=7/.part-0.{ending}").write_text("x")
    (tmp_path / "out/_SUCCESS").touch()
    found, table = read(project, path=path.format(ending))
    assert found["country"].to_list() == ["A B"] * 3 + ["DE"] * 3 + [None] * 3
    assert set(found["day"]) == {date(2025, 1, 1), date(2025, 1, 2)}
    assert found["n"].to_list() == [8] * 3 + [7] * 3 + [9] * 3
    assert found["t"].to_list() == ["x", "y", None] * 3
    left_out, empty = table.files.notes
    assert "left out: " in left_out
    assert "_temporary/0/country=X/day=2025-01-02/n=9/part-1" in left_out
    assert f"1 file is left out: country=DE/day=2025-01-01/n=7/part-1.{ending} (a file of 0 bytes" in empty
    assert table.frame.select(pl.len()).collect().item() == 9
    assert table.frame.filter(pl.col("n") == 8).select("a", "country").collect()["country"].to_list() == ["A B"] * 3


def test_the_value_of_a_folder_is_part_of_the_fingerprint(project, tmp_path):
    write(FRAME, tmp_path / "one/country=DE/p.parquet")
    write(FRAME, tmp_path / "other/country=FR/p.parquet")
    datasets = project({"one": {"path": "one"}, "other": {"path": "other"}})
    assert datasets.open("one").fingerprint != datasets.open("other").fingerprint


def test_a_contract_makes_the_value_of_a_folder_a_text(project, tmp_path):
    write(FRAME, tmp_path / "out/code=7/p.parquet")
    assert read(project, path="out")[0]["code"].to_list() == [7] * 3
    assert read(project, path="out", columns={"code": {"type": "text"}})[0]["code"].to_list() == ["7"] * 3


def test_a_column_of_the_files_wins_over_a_folder_of_its_name(project, tmp_path):
    write(FRAME, tmp_path / "out/a=9/p.parquet")
    found, table = read(project, path="out")
    assert_frame_equal(found, FRAME)
    assert "'a': a column of the files and a name of their folders" in table.files.notes[0]


def test_folders_that_name_other_columns_are_refused(project, tmp_path):
    write(FRAME, tmp_path / "out/x=1/p.parquet")
    write(FRAME, tmp_path / "out/p.parquet")
    assert "all files of a dataset must have the same columns" in refusal(project, path="out")


def test_a_pattern_that_names_hidden_files_reads_them(project, tmp_path):
    write(FRAME, tmp_path / "_in/_1.csv")
    write(FRAME, tmp_path / "_in/2.csv")
    assert read(project, path="_in/_*.csv")[0].height == 3
    assert read(project, path="_in/*.csv")[0].height == 3
    assert read(project, path="_in/_1.csv")[0].height == 3


def test_a_folder_of_several_formats_is_refused_and_other_files_are_reported(project, tmp_path):
    write(FRAME, tmp_path / "out/1.parquet")
    (tmp_path / "out/README.md").write_text("about")
    found, table = read(project, path="out")
    assert (found.height, table.files.notes) == (3, ("1 file is left out: README.md (not of the format that is read)",))
    write(FRAME, tmp_path / "out/2.csv")
    assert "several formats" in refusal(project, path="out")
    assert read(project, path="out", format="csv")[0].height == 3


@pytest.mark.parametrize(
    ("mark", "what"), [("_delta_log/0.json", "Delta Lake"), ("metadata/1.metadata.json", "Iceberg")]
)
def test_a_folder_that_is_more_than_its_files_is_refused(project, tmp_path, mark, what):
    write(FRAME, tmp_path / "out/1.parquet")
    (tmp_path / "out" / mark).parent.mkdir()
    (tmp_path / "out" / mark).write_text("{}")
    assert f"is a table of {what}" in refusal(project, path="out")


@pytest.mark.parametrize("name", ["t.parq", "t.pqt", "t.parquet.gzip", "t.parquet.snappy", "t.dat", "t"])
def test_parquet_is_known_by_its_first_bytes(project, tmp_path, name):
    FRAME.write_parquet(tmp_path / name)
    assert_frame_equal(read(project, path=name)[0], FRAME)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.json", json.dumps(FRAME.to_dicts())),
        ("t.json", "[\n " + json.dumps(FRAME.to_dicts(), indent=1)[1:]),
        ("t.json", FRAME.write_ndjson()),
        ("t.ndjson", json.dumps(FRAME.to_dicts())),
        ("t.txt", FRAME.write_csv()),
        ("t", FRAME.write_csv()),
        ("t.tsv", FRAME.write_csv(separator="\t")),
    ],
)
def test_texts_are_known_by_their_first_characters(project, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert_frame_equal(read(project, path=name)[0], FRAME, check_column_order=False)


def zipped(names):
    def make(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "a\n1\n")

    return make


@pytest.mark.parametrize(
    ("name", "make", "advice"),
    [
        ("t.dat", zipped(["xl/workbook.xml"]), "is a spreadsheet, which cannot be read: save the sheet as CSV"),
        (
            "t.csv",
            zipped(["a.csv"]),
            "is a ZIP archive, which cannot be read: unpack it, and name the file that was in it: a.csv, or declare",
        ),
        ("t.csv", lambda path: path.write_bytes(gzip.compress(b"a\n1\n")), "let its name end in .gz, or unpack it"),
        ("t.csv", lambda path: path.write_bytes(b"Obj\x01\0\0"), "is an Avro file"),
        ("t.bin", lambda path: path.write_bytes(bytes(range(256))), "declare format: csv, parquet, ndjson or arrow"),
        ("t.json", lambda path: path.write_text('{"data": [\n{"a": 1}\n]}'), "line 1"),
        ("t.json", lambda path: path.write_text("[1, 2]"), "write one object a line (NDJSON)"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(project, tmp_path, name, make, advice):
    make(tmp_path / name)
    assert advice in refusal(project, path=name)


def test_a_text_that_begins_like_a_binary_format_is_a_text(project, tmp_path):
    (tmp_path / "t.csv").write_text("PAR1,ORC\n1,2\n")
    assert read(project, path="t.csv")[0].rows() == [(1, 2)]


def test_an_arrow_stream_is_read_batch_by_batch(project, tmp_path):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"n": list(range(1000)), "k": pa.array(["a", "b", None, "a"] * 250).dictionary_encode()})
    with pa.ipc.new_stream(tmp_path / "t.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=100)
    found, opened = read(project, path="t.arrow")
    assert found["n"].to_list() == list(range(1000))
    assert found["k"].cast(pl.String).to_list() == ["a", "b", None, "a"] * 250
    assert not opened.rereadable
    assert scan_arrow_stream(tmp_path / "t.arrow").filter(pl.col("n") > 990).select("k").collect().height == 9
    assert scan_arrow_stream(tmp_path / "t.arrow").head(150).collect().height == 150


def test_arrow_streams_and_files_may_be_parts_of_one_dataset(project, tmp_path):
    write(FRAME, tmp_path / "1.arrow")
    FRAME.write_ipc_stream(tmp_path / "2.arrow")
    assert read(project, path="*.arrow")[0].height == 6


def test_a_csv_in_another_encoding_or_with_other_line_ends(project, tmp_path):
    text = "größe,n\nä,1\nö,2\n"
    (tmp_path / "t.csv").write_text(text, encoding="cp1252")
    assert read(project, path="t.csv", csv={"encoding": "cp1252"})[0].rows() == [("ä", 1), ("ö", 2)]
    (tmp_path / "t.csv").write_text(text, encoding="utf-16")
    assert read(project, path="t.csv")[0].rows() == [("ä", 1), ("ö", 2)]
    (tmp_path / "t.csv").write_bytes(text.replace("\n", "\r").encode())
    assert read(project, path="t.csv")[0].rows() == [("ä", 1), ("ö", 2)]


def test_lines_in_front_of_the_header_are_skipped_where_that_is_declared(project, tmp_path):
    (tmp_path / "t.csv").write_text("# exported\n# by hand\na,b\n1,2\n# end\n3,x\n")
    assert 'line 1 is a comment: declare csv: {comment: "#"}' in refusal(project, path="t.csv")
    assert read(project, path="t.csv", csv={"comment": "#"})[0].rows() == [(1, "2"), (3, "x")]
    (tmp_path / "t.csv").write_text("Report of May\na,b\n1,2\n3\n")
    assert "declare csv: {skip_lines: 1}" in refusal(project, path="t.csv")
    assert "t.csv, line 4 has 1 field" in refusal(project, path="t.csv", csv={"skip_lines": 1})


def test_a_quote_in_the_name_of_a_column_is_written_once(project, tmp_path):
    (tmp_path / "t.csv").write_text('"screen 15"" (cm)",price\n38.5,"1,000.50"\n', encoding="utf-8-sig")
    found, _ = read(project, path="t.csv", columns={'screen 15" (cm)': {"type": "number"}})
    assert found.to_dict(as_series=False) == {'screen 15" (cm)': [38.5], "price": [1000.5]}


def test_a_wrong_separator_and_a_missing_header_are_reported(project, tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1;2\n")
    assert 'did you mean csv: {separator: ";"}' in read(project, path="t.csv")[1].files.warnings[0]
    (tmp_path / "t.csv").write_text("0.5,1.5,k\n2.5,3.5,l\n")
    assert "declare csv: {header: false}" in read(project, path="t.csv")[1].files.warnings[0]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_folder_that_is_declared_as_text_keeps_its_zeros(project, tmp_path, ending):
    for code in ("007", "7"):
        folder = tmp_path / "p" / f"code={code}"
        folder.mkdir(parents=True)
        frame = pl.DataFrame({"x": [1]})
        frame.write_csv(folder / "a.csv") if ending == "csv" else frame.write_parquet(folder / "a.parquet")
    spec = {"t": {"path": "p", "columns": {"code": {"type": "text"}}}}
    assert sorted(project(spec).open("t").frame.collect()["code"]) == ["007", "7"]


def test_the_mark_of_spreadsheets_is_distinguished_from_a_header(project, tmp_path):
    (tmp_path / "t.csv").write_text("sep=;\nx;y\n1;2\n")
    said = project({"t": {"path": "t.csv"}}).open("t").files.warnings
    assert said == (
        'line 1 of t.csv is a mark for spreadsheets, no header: declare csv: {skip_lines: 1, separator: ";"}',
    )
    table = project({"t": {"path": "t.csv", "csv": {"skip_lines": 1, "separator": ";"}}}).open("t")
    assert table.frame.collect().rows() == [(1, 2)]
