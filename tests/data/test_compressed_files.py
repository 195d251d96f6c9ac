"""Compressed data files: all four ways give the rows of the file itself, within bounds, and damage is told."""

import bz2
import gzip
import io
import zipfile

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.data import explain_read_errors
from engine.discovery import compression
from engine.discovery.compression import read_unpacked
from engine.errors import DataError

FRAME = pl.DataFrame({"id": range(50), "text": [f'a "{n}", ü' for n in range(50)]})


def zip_files(contents: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return packed.getvalue()


def read(project, **dataset):
    table = project({"t": dataset}).open("t")
    with explain_read_errors(table):
        return table.frame.collect()


def refusal(project, **dataset):
    with pytest.raises(DataError) as caught:
        read(project, **dataset)
    return str(caught.value)


def pack(content: bytes, how: str, name: str = "rows.csv") -> bytes:
    if how == "zst":
        return pytest.importorskip("pyarrow").compress(content, codec="zstd", asbytes=True)
    packers = {"gz": gzip.compress, "bz2": bz2.compress, "zip": lambda raw: zip_files({name: raw})}
    return packers[how](content)


@pytest.mark.parametrize("how", ["gz", "bz2", "zip", "zst"])
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
@pytest.mark.parametrize("declared", [False, True])
def test_a_compressed_file_has_the_rows_of_the_file(project, tmp_path, how, kind, declared):
    content = FRAME.write_csv() if kind == "csv" else FRAME.write_ndjson()
    name = "rows.dat" if declared else f"rows.{kind}.{how}"
    (tmp_path / name).write_bytes(pack(content.encode(), how, f"rows.{kind}"))
    told = {"compression": how, "format": kind} if declared else {}
    assert_frame_equal(read(project, path=name, **told), FRAME)


@pytest.mark.parametrize("how", ["bz2", "zip"])
def test_encodings_escapes_and_keys_of_folders_hold_in_compressed_files(project, tmp_path, how):
    for country, text in (("DE", 'id;name\n1;"a \\"b\\""\n'), ("FR", 'id;name\n2;"é"\n')):
        folder = tmp_path / "data" / f"country={country}"
        folder.mkdir(parents=True)
        (folder / f"t.csv.{how}").write_bytes(pack(text.encode("cp1252"), how))
    csv = {"separator": ";", "encoding": "cp1252", "escape": "\\"}
    found = read(project, path="data", csv=csv)
    assert found.sort("id").rows() == [(1, 'a "b"', "DE"), (2, "é", "FR")]


def test_a_zip_archive_without_a_telling_name_is_known_by_its_file(project, tmp_path):
    (tmp_path / "rows.zip").write_bytes(
        zip_files({"__MACOSX/._a": b"x", "in/rows.ndjson": FRAME.write_ndjson().encode()})
    )
    assert_frame_equal(read(project, path="rows.zip", compression="zip"), FRAME)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            zip_files({"a.csv": b"a\n1\n", "b.csv": b"a\n1\n"}),
            "holds 2 files, and a zip archive is read if it holds one",
        ),
        (zip_files({"folder/": b""}), "holds no file"),
        (b"PK\x03\x04 not an archive", "cannot be unpacked, it may be damaged"),
        (zip_files({"a.parquet": b"PAR1"}), "is compressed as a whole"),
    ],
)
def test_archives_that_cannot_be_read_say_why(project, tmp_path, content, why):
    (tmp_path / "rows.dat").write_bytes(content)
    assert why in refusal(project, path="rows.dat", compression="zip")


@pytest.mark.parametrize("how", ["bz2", "zip"])
def test_a_damaged_file_is_reported(project, tmp_path, how):
    packed = bytearray(pack(FRAME.write_csv().encode(), how))
    packed[60:80] = bytes(20)
    (tmp_path / f"rows.csv.{how}").write_bytes(packed)
    assert "cannot be unpacked, it may be damaged" in refusal(project, path=f"rows.csv.{how}")


@pytest.mark.parametrize("how", ["bz2", "zip"])
def test_a_small_file_that_swells_is_refused(tmp_path, how):
    path = tmp_path / f"rows.csv.{how}"
    path.write_bytes(pack(bytes(8 << 20), how))
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match=r"larger than 2 MiB when it is unpacked: unpack it, or compress it with gzip"):
        read_unpacked(path, most=2 << 20)
    assert len(read_unpacked(path)) == 8 << 20
    assert compression.MAX_UNPACKED_BYTES == 1 << 30


def test_a_file_that_is_not_compressed_as_declared_is_reported(project, tmp_path):
    FRAME.write_parquet(tmp_path / "rows.dat")
    assert "cannot be unpacked" in refusal(project, path="rows.dat", compression="gz")
