"""What can be wrong with the folder, in words: where, what, what to do; and nothing half is left behind."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from engine.errors import StoreError
from engine.evaluation.record import Evaluation
from engine.outcome import Outcome
from engine.store import OutboxMessage, RunRecord, Store, generate_id
from engine.store.location import StateLocation

from ..small_disks import fill_disk, mount_small_disk

MakeEvaluation = Callable[..., Evaluation]
AS_NOBODY = """
import os, sys
import sqlalchemy.dialects.sqlite.pysqlite  # all imports before: nobody may be unable to read them
from pathlib import Path
from engine.errors import StoreError
from engine.store import Store
if os.getuid() == 0:
    os.setuid(65534)
try:
    Store.open(Path(sys.argv[1]))
except StoreError as error:
    print(error)
"""


@pytest.fixture
def location(folder: Path) -> StateLocation:
    """Give a state of the kind that this module is about."""
    return StateLocation(folder)


def refusal(folder: Path) -> str:
    with pytest.raises(StoreError) as refused:
        Store.open(folder, patience=0.1)
    text = str(refused.value)
    assert f"state folder {folder}: " in text
    assert "What to do: " in text
    return text


def test_a_file_that_is_not_a_database(folder: Path) -> None:
    folder.mkdir()
    (folder / "state.db").write_bytes(b"quarterly figures\n" * 1000)
    assert "state.db is not a database" in refusal(folder)


def test_a_database_of_somebody_else(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "state.db") as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    assert "not the state of a project" in refusal(folder)


def test_a_damaged_database(store: Store, make_evaluation: MakeEvaluation) -> None:
    for _ in range(50):
        store.evaluations.add(make_evaluation(facts={"text": "x" * 2000}))
    store.close()
    path = store.folder / "state.db"
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    assert "state.db is damaged" in refusal(store.folder)


def test_a_file_where_a_folder_should_be(folder: Path) -> None:
    folder.write_text("")
    assert "a part of this path is a file" in refusal(folder)
    folder.unlink()
    folder.mkdir()
    (folder / "models").write_text("")
    assert "another kind has this name" in refusal(folder)


def test_a_folder_that_may_not_be_written(store: Store) -> None:
    store.close()
    for path in (store.folder, *store.folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in store.folder.parents:
        if path.name.startswith("pytest"):
            path.chmod(0o755)
    command = [sys.executable, "-c", AS_NOBODY, str(store.folder)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot be written" in text
    assert "What to do: give this user write access" in text


def test_a_database_locked_by_another_writer(store: Store, make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    store.evaluations.add(evaluation)
    other = sqlite3.connect(store.folder / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Store.open(store.folder, patience=0.1) as impatient:
        assert impatient.evaluations.history("the_MES") == [evaluation]  # reading does not wait for a writer
        with pytest.raises(StoreError, match="locked by another process that is writing"):
            impatient.evaluations.add(make_evaluation())
    other.execute("ROLLBACK")
    other.close()
    assert store.evaluations.history("the_MES") == [evaluation]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mount_small_disk(tmp_path / "disk", "size=3m") as folder:
        yield folder


def test_a_full_disk_while_evaluations_are_added(small_disk: Path, make_evaluation: MakeEvaluation) -> None:
    kept: list[Evaluation] = []
    with Store.open(small_disk / "state") as store:
        with pytest.raises(StoreError, match="the disk is full"):  # noqa: PT012 (the loop is what is tried)
            while True:
                evaluation = make_evaluation(facts={"text": "x" * 20_000})
                with store.folders.stage() as files:
                    (files / "profile").write_bytes(b"x" * 150_000)
                    store.evaluations.add(evaluation, files)
                kept.append(evaluation)
        assert len(kept) > 3
        assert store.evaluations.history("the_MES") == kept
    with Store.open(small_disk / "state") as store:
        assert store.evaluations.history("the_MES") == kept
        sizes = [(store.evaluations.folder_of(each.id) / "profile").stat().st_size for each in kept]
        assert sizes == [150_000] * len(kept)
        assert len(list((store.folder / "evaluations").iterdir())) == len(kept)
        assert list((store.folder / "staging").iterdir()) == []


@pytest.mark.parametrize("leave", range(0, 60_000, 12_000))
def test_a_full_disk_at_the_end_of_a_run_and_space_again(small_disk: Path, leave: int) -> None:
    with Store.open(small_disk / "state") as store:
        run = RunRecord(generate_id(store.database.now()), "p", "s", store.database.now(), "ann@host")
        store.runs.start(run)
        filler = fill_disk(small_disk / "filler", leave)
        message = OutboxMessage("m", run.id, "r", "c", (), "s", "t" * 200_000, store.database.now())
        ended = replace(run, outcome=Outcome.SUCCESS, ended=store.database.now())
        with pytest.raises(StoreError, match="the disk is full"):
            store.runs.finish(ended, [message])
        assert store.runs.get(run.id) == run
        assert store.outbox.list_undelivered() == []
        filler.unlink()
        store.runs.finish(ended, [message])
        assert store.runs.get(run.id) == ended
        assert store.outbox.claim("m", timedelta(minutes=1)) is not None


def test_a_fresh_store_on_a_full_disk(small_disk: Path) -> None:
    filler = fill_disk(small_disk / "filler")
    assert "the disk is full" in refusal(small_disk / "state")
    filler.unlink()
    Store.open(small_disk / "state").close()


def test_a_row_that_is_there_already_is_reported_and_a_row_without_a_value_that_it_needs_is_a_fault(
    store: Store,
) -> None:
    with store.database.begin_write() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (id INTEGER PRIMARY KEY, one TEXT NOT NULL UNIQUE)")
        connection.exec_driver_sql("INSERT INTO numbers VALUES (1, 'a')")
    for row in ("(1, 'b')", "(2, 'a')"):
        with pytest.raises(StoreError, match="this record already exists"), store.database.begin_write() as connection:
            connection.exec_driver_sql(f"INSERT INTO numbers VALUES {row}")
    with pytest.raises(IntegrityError), store.database.begin_write() as connection:
        connection.exec_driver_sql("INSERT INTO numbers VALUES (3, NULL)")
