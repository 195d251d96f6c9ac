"""Datasets in a bucket are those of a folder: the same rows, fingerprints and messages; each object is fetched once."""

import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.connections.object_cache import ObjectCache
from engine.connections.object_store import ObjectFolder, ObjectStoreLogin
from engine.data import InMemoryFileHashes
from engine.data.files.watched_files import read_unchanged
from engine.errors import DataError

from .conftest import OpenLake
from .store_server import OBJECTS_OF_A_PAGE, StoreServer, needs_server, run_proxy

pytestmark = needs_server

ROWS = pl.DataFrame({"id": range(400), "amount": [one / 7 for one in range(400)], "kind": ["a", "b", "c", "d"] * 100})


@pytest.fixture
def folder(tmp_path: Path, bucket: StoreServer) -> Path:
    """Give a folder whose files are in the bucket too, below `raw`."""
    root = tmp_path / "data"
    for name in ("days/day=2026-01-02/b.parquet", "days/day=2026-01-01/a.parquet", "one.parquet"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        ROWS.head(300 if "b" in name else 200).write_parquet(root / name)
    (root / "days/_SUCCESS").touch()
    (root / "days/empty.parquet").touch()
    ROWS.write_csv(root / "orders.csv")
    ROWS.write_ndjson(root / "orders 2026-01-03.ndjson")
    ROWS.head(9).write_ndjson(root / "orders 2026-01-05.ndjson")
    ROWS.write_ipc(root / "ä=1.arrow")
    (root / "plain").write_bytes((root / "orders.csv").read_bytes())
    for file in root.rglob("*"):
        if file.is_file():
            bucket.put(f"raw/{file.relative_to(root).as_posix()}", file.read_bytes())
    return root


DATASETS: dict[str, dict[str, Any]] = {
    "one": {"path": "one.parquet"},
    "csv": {"path": "orders.csv"},
    "arrow": {"kind": "stored", "path": "./ä=1.arrow", "table": "no"},
    "plain": {"path": "plain"},
    "days": {"path": "days"},
    "parts": {"path": "days/**/*.parquet"},
    "ndjson": {"path": "orders 2026-*.ndjson"},
    "newest": {"path": "orders *.ndjson", "pick": "newest"},
}


def test_the_same_data_in_a_folder_and_in_a_bucket_are_the_same(
    folder: Path, bucket: StoreServer, open_lake: OpenLake
) -> None:
    as_of = datetime(2026, 1, 4, 12, tzinfo=UTC)
    here = open_lake({"kind": "file", "root": str(folder)}, as_of, **DATASETS)
    there = open_lake(bucket.connection(prefix="raw"), as_of, **DATASETS)
    for name in DATASETS:
        near, far = here.open(name), there.open(name)
        assert far.fingerprint == near.fingerprint
        assert far.facts == near.facts
        assert [one for one in far.notes if "bytes were fetched" not in one] == list(near.notes)
        assert_frame_equal(far.frame.collect(), near.frame.collect(), check_row_order=False)
    assert there.open("newest").frame.collect().height == ROWS.height
    assert there.open("days").frame.collect()["day"].n_unique() == 2


def test_an_object_is_fetched_once_and_again_when_it_has_changed(bucket: StoreServer, open_lake: OpenLake) -> None:
    bucket.put("a.csv", b"x\n1\n")
    said = open_lake(bucket.connection(), d={"path": "a.csv"}).open("d").notes
    assert said == (f"4 bytes were fetched from s3://{bucket.bucket}, for 1 object",)
    lake = open_lake(bucket.connection(), d={"path": "a.csv"})
    first = lake.open("d")
    assert first.notes == ()
    bucket.put("a.csv", b"x\n2\n")
    second = open_lake(bucket.connection(), d={"path": "a.csv"}).open("d")
    assert second.frame.collect()["x"].to_list() == [2]
    assert second.fingerprint != first.fingerprint


def test_only_the_newest_of_many_is_fetched(bucket: StoreServer, open_lake: OpenLake, tmp_path: Path) -> None:
    for day in range(1, 10):
        bucket.put(f"in/day-2026-01-0{day}.csv", b"x\n1\n" * day)
    table = open_lake(bucket.connection(), datetime(2026, 1, 7, tzinfo=UTC), d={"path": "in/*.csv", "pick": "newest"})
    assert table.open("d").frame.collect().height == 13
    assert [one.name for one in (tmp_path / "objects").rglob("*.csv")] == ["day-2026-01-07.csv"]


def test_what_is_not_there_is_reported_with_the_names_of_the_store(bucket: StoreServer, open_lake: OpenLake) -> None:
    bucket.put("in/orders.csv", b"x\n1\n")
    bucket.put("in/empty.csv", b"")
    bucket.put("bad/orders.csv", b"x,y\n1\n1,2,3\n")
    bucket.put("lake/_delta_log/0.json", b"{}")
    bucket.put("lake/a.parquet", b"x")
    bucket.put("in/dir/", b"")
    place = f"s3://{bucket.bucket}"
    lake = open_lake(
        bucket.connection(),
        missing={"path": "in/order.csv"},
        nowhere={"path": "out/order.csv"},
        unmatched={"path": "in/*.parquet"},
        empty={"path": "in/empty.csv"},
        lake={"path": "lake"},
        outside={"path": "../other/x.csv"},
        folder={"path": "in"},
    )
    for name, said in {
        "missing": f"there is no file {place}/in/order.csv; did you mean 'orders.csv'?",
        "nowhere": f"there is no file {place}/out/order.csv; there is no folder {place}/out either",
        "unmatched": f"no file matches {place}/in/*.parquet",
        "empty": f"{place}/in/empty.csv is empty (0 bytes)",
        "lake": f"{place}/lake is a table of Delta Lake",
        "outside": "the path '../other/x.csv' leads out of the bucket and its prefix",
    }.items():
        with pytest.raises(DataError) as refused:
            lake.open(name)
        assert said in str(refused.value)
    assert lake.open("folder").frame.collect().height == 1  # in/dir/ is a mark and no object


def test_names_that_no_file_can_have_are_reported(bucket: StoreServer, open_lake: OpenLake) -> None:
    bucket.put("in/a", b"x\n1\n")
    bucket.put("in/a/b.csv", b"x\n2\n")
    with pytest.raises(DataError, match=r"in/a(/b\.csv)? cannot be copied .* rename one"):
        open_lake(bucket.connection(), d={"path": "in/**", "format": "csv"}).open("d")
    bucket.put("odd//a.csv", b"x\n1\n")
    with pytest.raises(DataError, match=r"has a name that no file can have|no file matches"):
        open_lake(bucket.connection(), d={"path": "odd/*.csv"}).open("d")


def test_an_object_that_is_replaced_while_it_is_read_is_read_once_more(
    bucket: StoreServer, open_lake: OpenLake
) -> None:
    bucket.put("a.csv", b"x\n1\n")
    replaced: list[bytes] = []

    def replace(piece: bytes) -> bytes:
        """Let another object be there as soon as the store has said which one is."""
        if not replaced and b"etag" in piece.lower():
            replaced.append(piece)
            bucket.put("a.csv", b"x\n22\n")
        return piece

    said: list[str] = []
    with run_proxy(bucket.url, replace) as proxy:
        lake = open_lake(bucket.connection(endpoint=proxy.url), d={"path": "a.csv"})
        table = read_unchanged(lambda files: lake.with_files(files).open("d"), InMemoryFileHashes(), said.append)
    assert table.frame.collect()["x"].to_list() == [22]
    assert f"s3://{bucket.bucket}/a.csv changed while it was read; it is read once more" in said[0]


@pytest.mark.slow  # 300 MB
def test_a_large_object_streams_through_little_memory(bucket: StoreServer, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    large.write_bytes(os.urandom(1_000_000) * 300)
    login = ObjectStoreLogin("id", "key")
    source = ObjectFolder(bucket.bucket, endpoint=bucket.url, region="us-east-1", login=login, path_style=True,
                          allow_http=True, timeout=60)  # fmt: skip
    source.upload(large, "large.csv")
    found = source.find_object("large.csv")
    assert found is not None
    before = _peak_memory()
    cache = ObjectCache(tmp_path / "objects")
    assert cache.fetch(source, cache.folder / "root", [found], 1) == 300_000_000
    assert _peak_memory() - before < 150_000_000
    assert (cache.folder / "root/large.csv").read_bytes() == large.read_bytes()


def _peak_memory() -> int:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) * 1000 for line in status if line.startswith("VmHWM"))


def test_copies_that_are_not_used_make_room(bucket: StoreServer, open_lake: OpenLake, tmp_path: Path) -> None:
    for name in "abc":
        bucket.put(f"{name}.csv", b"x\n" + b"1\n" * 5000)
    connection = bucket.connection(cache_gb=0.000021)
    for name in "ab":
        open_lake(connection, d={"path": f"{name}.csv"}).open("d")
    copies = tmp_path / "objects"
    left = copies / "parts" / "left"
    left.touch()
    os.utime(left, (0, 0))
    with sqlite3.connect(copies / "index.db") as index:
        index.execute("UPDATE objects SET used = used - 7200 WHERE path = 'b.csv'")
        index.execute("UPDATE objects SET used = used - 4000 WHERE path = 'a.csv'")
    index.close()
    open_lake(connection, d={"path": "c.csv"}).open("d")
    assert sorted(one.name for one in copies.rglob("*.csv")) == ["a.csv", "c.csv"]
    assert not left.exists()
    for name in "abc":  # none is removed that was just used
        assert open_lake(connection, d={"path": f"{name}.csv"}).open("d").frame.collect().height == 5000
    assert time.time() > 0
    assert len(list(copies.rglob("*.csv"))) == 3


def test_a_copy_that_was_cut_is_fetched_again(bucket: StoreServer, open_lake: OpenLake, tmp_path: Path) -> None:
    bucket.put("a.csv", b"x\n1\n2\n")
    open_lake(bucket.connection(), d={"path": "a.csv"}).open("d")
    next((tmp_path / "objects").rglob("a.csv")).write_bytes(b"x\n1\n")
    assert open_lake(bucket.connection(), d={"path": "a.csv"}).open("d").frame.collect().height == 2


def test_more_than_a_page_of_objects_is_listed(bucket: StoreServer, open_lake: OpenLake) -> None:
    for number in range(OBJECTS_OF_A_PAGE + 20):
        bucket.put(f"in/{number}.csv" if number % 20 == 0 else f"other/{number}.csv", b"x\n1\n")
    assert open_lake(bucket.connection(), d={"path": "in/*.csv"}).open("d").frame.collect().height == 11
    every = open_lake(bucket.connection(), d={"path": "**/*.csv"}).open("d").frame.collect()
    assert every.height == OBJECTS_OF_A_PAGE + 20
