"""Fingerprints: equal for equal content, whatever it is called, wherever it lies, in whatever order its rows are."""

import os
import shutil
import subprocess
import sys
import time
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import InMemoryFileHashes
from engine.data.files.hashes import hash_file
from engine.data.fingerprints import hash_frame
from engine.digests import digest_texts
from engine.file_identity import FileIdentity

FRAME = pl.DataFrame({"a": [1, 2, 3], "s": ["x", None, "z"], "f": [0.5, float("nan"), None]})


@given(
    st.lists(st.tuples(st.integers(0, 3) | st.none(), st.sampled_from(["x", "y", "", None])), max_size=8), st.randoms()
)
def test_the_order_of_rows_does_not_matter_and_their_number_does(rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    schema = {"a": pl.Int64, "s": pl.String}
    one = hash_frame(pl.DataFrame(rows, schema=schema, orient="row"))
    assert one == hash_frame(pl.DataFrame(shuffled, schema=schema, orient="row"))
    if rows:
        assert one != hash_frame(pl.DataFrame(rows[1:], schema=schema, orient="row"))
        assert one != hash_frame(pl.DataFrame([*rows, rows[0]], schema=schema, orient="row"))


def test_a_lazy_frame_has_the_fingerprint_of_its_rows():
    assert hash_frame(FRAME.lazy()) == hash_frame(FRAME)
    assert hash_frame(pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)) == hash_frame(FRAME)


def test_any_change_of_content_or_schema_shows():
    changed = [
        FRAME.with_columns(a=pl.Series([1, 2, 4])),
        FRAME.with_columns(a=pl.col("a").cast(pl.Int32)),
        FRAME.rename({"a": "b"}),
        FRAME.select("s", "a", "f"),
        FRAME.with_columns(s=pl.Series(["x", "", "z"])),
        FRAME.with_columns(a=pl.col("a").reverse()),
        FRAME.head(0),
        FRAME.head(0).drop("a"),
    ]
    assert len({hash_frame(frame) for frame in [FRAME, *changed]}) == len(changed) + 1


KINDS = {
    "whole": [1, 2, None],
    "real": [0.5, float("nan"), None],
    "text": ["x", "", None],
    "truth": [True, False, None],
    "day": [date(2020, 1, 1), date(2021, 1, 1), None],
    "category": pl.Series(["a", "b", None], dtype=pl.Categorical),
    "raw": [b"x", b"", None],
    "list": [[1], [], None],
    "nothing": pl.Series([None, None, None]),
}


def test_the_fingerprint_is_that_of_the_rows_however_they_were_written(tmp_path):
    frame = pl.DataFrame(KINDS)
    seen = {hash_frame(frame)}
    for compression in ("zstd", "uncompressed"):
        frame.write_parquet(tmp_path / "rows.parquet", compression=compression, row_group_size=2)
        seen.add(hash_frame(pl.read_parquet(tmp_path / "rows.parquet")))
    seen.add(hash_frame(pl.concat([frame[:1], frame[1:]], rechunk=False)))
    assert seen == {hash_frame(frame)}


@pytest.mark.parametrize("column", KINDS)
def test_the_fingerprint_changes_with_each_value_name_and_type(column):
    frame = pl.DataFrame({column: KINDS[column]})
    others = [frame.rename({column: "other"}), frame[:2], frame.clear()]
    if column != "nothing":
        others += [frame[[0, 0, 2]], frame[[0, 2, 2]]]
    if column == "whole":
        others += [frame.cast(pl.Int32), frame.cast(pl.String)]
    digests = [hash_frame(one) for one in (frame, *others)]
    assert len(set(digests)) == len(digests)


def test_another_process_finds_the_same():
    frame = "pl.DataFrame({'a': [1, None], 's': ['x', 'y']})"
    code = f"import polars as pl; from engine.data.fingerprints import hash_frame; print(hash_frame({frame}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == hash_frame(pl.DataFrame({"a": [1, None], "s": ["x", "y"]}))


def test_combine_does_not_run_texts_together():
    assert digest_texts("ab", "c") != digest_texts("a", "bc")
    assert digest_texts("a", "") != digest_texts("a")


def _write_old(path, content):
    """Write a file whose modification time is that of an archive."""
    path.write_bytes(content)
    os.utime(path, (1.7e9, 1.7e9))


def _wait_until_settled(*paths):
    time.sleep(max(0, max(path.stat().st_ctime for path in paths) + 2.01 - time.time()))


def test_another_file_of_the_same_size_and_time_is_another_file(tmp_path):
    """A link that turns, a rename, a folder that is moved, a change in place, each with `cp -p`'s times."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, content in zip(folders, (b"one", b"two"), strict=True):
        folder.mkdir()
        _write_old(folder / "t", content)
    (tmp_path / "link").symlink_to("one/t")
    (tmp_path / "latest").symlink_to("one")
    _wait_until_settled(*(folder / "t" for folder in folders))
    hashes = InMemoryFileHashes()
    paths = [tmp_path / "link", tmp_path / "latest" / "t", tmp_path / "one" / "t"]
    assert [hash_file(path, hashes) for path in paths] == [hash_file(folders[0] / "t", InMemoryFileHashes())] * 3
    assert len(hashes) == 3  # all of them are remembered
    for name, target in (("link", "two/t"), ("latest", "two")):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(target)
    (folders[0]).rename(tmp_path / "three")
    shutil.copytree(folders[1], folders[0])
    assert [hash_file(path, hashes) for path in paths] == [hash_file(folders[1] / "t", InMemoryFileHashes())] * 3
    _write_old(folders[0] / "t", b"six")  # the same inode
    assert hash_file(paths[2], hashes) == hash_file(folders[0] / "t", InMemoryFileHashes())


def test_an_unchanged_file_is_not_read_again(tmp_path):
    path, hashes = tmp_path / "t", InMemoryFileHashes()
    _write_old(path, b"one")
    hash_file(path, hashes)
    assert not hashes  # it was changed just now, so another change could have the same times
    _wait_until_settled(path)
    hash_file(path, hashes)
    (key,) = hashes
    hashes[key] = "not read"
    assert hash_file(path, hashes) == "not read"


@pytest.mark.parametrize(
    ("mtime", "ctime", "own"),
    [(10**9, 10**9, False), (25 * 10**7, 25 * 10**7, False), (10**9, 10**9 + 1, True), (10**9 + 7, 10**9 + 7, True)],
)
def test_a_file_system_without_change_times_is_recognized(mtime, ctime, own):
    assert FileIdentity(1, 1, mtime, ctime).has_own_change_time is own


def test_renaming_moving_and_touching_files_changes_nothing(project, tmp_path):
    for number in (1, 2):
        pl.DataFrame({"a": [number]}).write_parquet(tmp_path / f"{number}.parquet")
    before = project({"t": {"path": "[12].parquet"}}).open("t").fingerprint
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "1.parquet", tmp_path / "elsewhere" / "z.parquet")
    shutil.move(tmp_path / "2.parquet", tmp_path / "elsewhere" / "a.parquet")
    os.utime(tmp_path / "elsewhere" / "a.parquet")
    after = project({"u": {"path": "elsewhere/*.parquet", "description": "moved"}}).open("u").fingerprint
    assert after == before
    pl.DataFrame({"a": [3]}).write_parquet(tmp_path / "elsewhere" / "a.parquet")
    assert project({"u": {"path": "elsewhere/*.parquet"}}).open("u").fingerprint != before


def test_how_a_csv_is_read_counts(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    plain = project({"t": {"path": "t.csv"}}).open("t").fingerprint
    text = project({"t": {"path": "t.csv", "columns": {"a": {"type": "text"}}}}).open("t").fingerprint
    nulls = project({"t": {"path": "t.csv", "csv": {"null_values": ["1"]}}}).open("t").fingerprint
    assert len({plain, text, nulls}) == 3
