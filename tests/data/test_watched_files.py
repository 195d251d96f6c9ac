"""Files are looked at again after they were read, by their identity or, where that cannot tell, by their content."""

import os
import threading

import pytest

from engine.data import InMemoryFileHashes, WatchedFiles
from engine.data.files.hashes import FileChangedError, hash_file
from engine.data.inspection import inspect_file
from engine.errors import DataError
from engine.file_identity import FileIdentity


def test_a_file_that_was_changed_just_before_its_hash_is_hashed_again(tmp_path):
    """Two changes within one tick of the clock leave the same times: only the content can tell."""
    path = tmp_path / "t"
    path.write_bytes(b"two")
    identity = FileIdentity.from_stat(path.stat())
    for settled, told in ((False, True), (True, False)):
        watched = WatchedFiles(InMemoryFileHashes())
        watched.put(str(path), identity, "the digest of what it held before", settled=settled)
        assert (watched.find_change() is not None) is told
    watched = WatchedFiles(InMemoryFileHashes())
    hash_file(path, watched)
    watched.verify()


def test_new_permissions_do_not_count_as_a_change_and_a_new_time_does(tmp_path):
    path, watched = tmp_path / "t", WatchedFiles(InMemoryFileHashes())
    path.write_bytes(b"one")
    hash_file(path, watched)
    path.chmod(0o400)
    os.link(path, tmp_path / "backup")
    watched.verify()
    os.utime(path, (1, 1))  # of a file that was rewritten with the same content, a reader may have seen the half
    with pytest.raises(FileChangedError, match="t changed while it was read"):
        watched.verify()


def test_a_file_that_two_datasets_read_is_the_same_for_both(tmp_path):
    path, watched = tmp_path / "t", WatchedFiles(InMemoryFileHashes())
    path.write_bytes(b"one")
    hash_file(path, watched)
    path.write_bytes(b"two")
    with pytest.raises(FileChangedError):
        hash_file(path, watched)


def test_a_file_that_grows_while_it_is_hashed(tmp_path):
    path, stop = tmp_path / "t", threading.Event()
    path.write_bytes(bytes(100_000_000))

    def append() -> None:
        with path.open("ab") as file:
            while not stop.wait(0.001):
                file.write(b"more")
                file.flush()

    writer = threading.Thread(target=append)
    writer.start()
    try:
        with pytest.raises(FileChangedError, match="changed while it was read"):
            hash_file(path, InMemoryFileHashes())
    finally:
        stop.set()
        writer.join()


@pytest.mark.slow
def test_init_does_not_call_a_file_damaged_that_is_being_written(tmp_path):
    path, stop = tmp_path / "t.csv", threading.Event()
    path.write_text("a,b\n1,2\n")

    def rewrite() -> None:
        with path.open("a") as file:
            while not stop.wait(0.001):
                file.write("1,2\n" * 100 + "1")
                file.flush()
                file.write(",2\n")

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        with pytest.raises(DataError, match=r"changed while it was read, and"):
            inspect_file(path)
    finally:
        stop.set()
        writer.join()
