"""A server that is full, busy or ends in the middle, and processes that come at once: whole or not, told in words."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from engine.errors import StoreError
from engine.evaluation.record import Evaluation
from engine.outcome import Outcome
from engine.store import RunRecord, Store, generate_id
from engine.store.location import PostgresqlSchema, StateLocation
from tests.databases.postgres_server import NOBODY, PASSWORD, Database, PostgresServer

from ..small_disks import mount_small_disk

SCHEMA = "engine_trouble"
RACE = f"""
import os, sys
from pathlib import Path
from engine.errors import StoreError
from engine.store import Store
from engine.store.location import PostgresqlSchema, StateLocation
import alembic.operations, sqlalchemy.dialects.postgresql.psycopg, psycopg
url = sys.stdin.readline().strip()
ready, go = os.pipe()
children = []
for number in range(8):
    children.append(os.fork())
    if children[-1] == 0:
        os.close(go)
        os.read(ready, 1)  # ends when the parent lets go
        place = Path(sys.argv[1]) / f"folder {{number % 2}}"
        try:
            with Store.open(StateLocation(place, PostgresqlSchema(url, "{SCHEMA}"))) as store:
                store.measurements.add(place.name, str(number), {{}}, None)
            os.write(1, f"{{place.name}} wrote\\n".encode())
        except StoreError as error:
            os.write(1, f"{{place.name}} was told: {{error}}\\n".encode())
        os._exit(0)
os.close(go)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children) != 0)
"""


def locate(database: Database, folder: Path, timeout: float = 5) -> StateLocation:
    return StateLocation(folder, PostgresqlSchema(database.url(), SCHEMA, timeout))


def fail(act: Callable[[], object]) -> str:
    with pytest.raises(StoreError) as told:
        act()
    assert PASSWORD not in repr(told.value) + repr(told.value.__cause__) + repr(told.value.__context__)
    assert "What to do: " in str(told.value)
    return str(told.value)


@pytest.mark.slow
def test_one_of_two_folders_that_begin_at_once_owns_the_rows(database: Database, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACE, tmp_path], input=database.url() + "\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = sorted(done.stdout.splitlines())
    owner = database.execute(f"SELECT folder FROM {SCHEMA}.state_owner")
    first = Path(owner).name
    assert [line for line in told if line.startswith(first)] == [f"{first} wrote"] * 4
    others = [line for line in told if not line.startswith(first)]
    assert len(others) == 4
    assert all(f"was told: state folder {tmp_path}" in line and f"belong to the folder {owner} on" in line
               for line in others)  # fmt: skip
    assert database.execute(f"SELECT count(*) FROM {SCHEMA}.dataset_measurements") == "4"


@pytest.mark.slow
def test_a_server_without_connections_is_waited_for_and_then_reported(
    own_postgres: PostgresServer, folder: Path
) -> None:
    database = own_postgres.create_database()
    Store.open(locate(database, folder)).close()
    own_postgres.stop()
    own_postgres.start(max_connections=6, superuser_reserved_connections=1)
    url = database.url()
    taken = [_connect(url) for _ in range(6)]
    try:
        with _open_later(database, folder, taken) as store:
            store.measurements.add("d", "f", {}, None)
            assert len(store.measurements.history("d")) == 1
            while len(taken) < 5:
                taken.append(_connect(url))
            store.measurements.add("d", "g", {}, None)  # the connection that it has is its own
        taken.append(_connect(url))
        began = time.monotonic()
        said = fail(lambda: Store.open(locate(database, folder)))
        assert "the server has no connection left" in said
        assert "raise its max_connections" in said
        assert time.monotonic() - began < 30
    finally:
        for one in taken:
            one.close()
    with Store.open(locate(database, folder)) as store:
        assert len(store.measurements.history("d")) == 2


def _connect(url: str) -> "psycopg.Connection":
    """Connect; a server counts a connection for a moment after it was closed."""
    until = time.monotonic() + 10
    while True:
        try:
            return psycopg.connect(url, connect_timeout=10)
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _open_later(database: Database, folder: Path, taken: "list[psycopg.Connection]") -> Store:
    """Open a state while all connections are taken, one of which becomes free after a while."""
    freed = threading.Timer(1.0, lambda: taken.pop().close())
    freed.start()
    try:
        return Store.open(locate(database, folder))
    finally:
        freed.join()


@pytest.mark.slow
def test_a_server_that_crashes_in_the_middle_keeps_what_was_committed(
    own_postgres: PostgresServer, folder: Path, make_evaluation: Callable[..., Evaluation]
) -> None:
    database = own_postgres.create_database()
    with Store.open(locate(database, folder)) as store:
        store.evaluations.add(first := make_evaluation("Q1"))

        def crash_while_writing() -> None:
            with store.database.begin_write() as connection:
                connection.exec_driver_sql("DELETE FROM evaluation_metrics")
                own_postgres.crash()
                connection.exec_driver_sql("DELETE FROM evaluations")

        assert "nothing of this step was written" in fail(crash_while_writing)
        back = threading.Timer(1.0, own_postgres.start)
        back.start()
        store.evaluations.add(second := make_evaluation("Q2"))
        back.join()
        assert store.evaluations.history("the_MES") == [first, second]

        def crash_while_reading() -> None:
            with store.database.begin_read() as connection:
                own_postgres.crash()
                connection.exec_driver_sql("SELECT count(*) FROM runs")

        assert "the connection was lost" in fail(crash_while_reading)
        own_postgres.start()
        assert store.evaluations.history("the_MES") == [first, second]


@pytest.fixture
def small_space(own_postgres: PostgresServer, open_folder: Path) -> Iterator[Database]:
    """Give a database whose new tables are on a disk of 6 MB."""
    disk = open_folder / "disk"
    with mount_small_disk(disk, f"size=6m,uid={NOBODY},gid={NOBODY},mode=700"):
        made = own_postgres.create_database()
        made.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        made.execute(f"ALTER DATABASE {made.name} SET default_tablespace = small")
        yield made
        own_postgres.stop()


@pytest.mark.slow
def test_a_full_disk_of_the_server_loses_the_step_and_nothing_before(
    small_space: Database, folder: Path, make_evaluation: Callable[..., Evaluation]
) -> None:
    kept: list[Evaluation] = []
    with Store.open(locate(small_space, folder)) as store:
        run = RunRecord(generate_id(store.database.now()), "p", "s", store.database.now(), "ann@host")
        store.runs.start(run)

        def fill() -> None:
            while True:
                noise = os.urandom(60_000).hex()
                evaluation = make_evaluation(facts={"text": noise})
                with store.folders.stage() as files:
                    (files / "profile").write_bytes(b"x")
                    store.evaluations.add(evaluation, files)
                kept.append(evaluation)

        said = fail(fill)
        assert "the disk of the server is full (could not extend file" in said
        assert "free some space there, then run again" in said
        assert len(kept) > 3
        assert store.evaluations.history("the_MES") == kept
        ids = {path.name for path in (folder / "evaluations").iterdir()}
        assert ids == {one.id for one in kept}
        subprocess.run(
            [
                "mount",
                "-o",
                "remount,size=40m",
                small_space.execute("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'small'"),
            ],
            check=True,
        )
        store.runs.finish(replace(run, outcome=Outcome.SUCCESS, ended=store.database.now()), [])
    with Store.open(locate(small_space, folder)) as store:
        assert store.runs.get(run.id).outcome is Outcome.SUCCESS
