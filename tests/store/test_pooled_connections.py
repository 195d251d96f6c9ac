"""A state behind PgBouncer, which gives each transaction another connection: all that is promised holds there too."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.evaluation.record import Evaluation, MetricValue
from engine.store import Store
from engine.store.location import PostgresqlSchema, StateLocation
from engine.store.state.adoption import adopt_rows
from tests.databases.pooler import run_pooler
from tests.databases.postgres_server import PASSWORD, Database

SCHEMA = "engine_pooled"
WRITERS, TURNS = 6, 5
WRITE = f"""
import sys
from pathlib import Path
from engine.evaluation.record import MetricValue
from engine.store import Store
from engine.store.location import PostgresqlSchema, StateLocation
url = sys.stdin.readline().strip()
with Store.open(StateLocation(Path(sys.argv[1]), PostgresqlSchema(url, "{SCHEMA}"))) as store:
    for number in range({TURNS}):
        with store.folders.stage() as files:
            (files / "model").write_text("x")
            store.models.add("authorization", sys.argv[2], files)
        store.measurements.add("t", sys.argv[2], {{"row_count": MetricValue(float(number))}}, None)
"""


@pytest.fixture(params=[1, 2])
def location(request: pytest.FixtureRequest, database: Database, folder: Path) -> Iterator[StateLocation]:
    """Give a state behind a pool of one connection, or of two that take turns."""
    with run_pooler(database, pool_size=request.param) as url:
        yield StateLocation(folder, PostgresqlSchema(url, SCHEMA, timeout=5))


def test_what_is_written_is_read_and_nothing_is_left_behind_for_others(
    store: Store, location: StateLocation, database: Database, make_evaluation: Callable[..., Evaluation]
) -> None:
    written = [make_evaluation(f"Q{number}") for number in range(20)]
    for one in written:
        store.evaluations.add(one)
    assert store.evaluations.history("the_MES") == written
    store.database.vacuum()
    store.database.prove_writable()
    assert store.database.measure_bytes() > 0
    import psycopg

    assert location.rows is not None
    for _ in range(4):  # whichever connection it gets
        with psycopg.connect(location.rows.url, autocommit=True, prepare_threshold=None) as other:
            shown = [other.execute(f"SHOW {name}").fetchone() for name in ("search_path", "lock_timeout")]
            assert shown == [('"$user", public',), ("0",)]
            assert other.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            assert other.execute(held).fetchone() == (0,)
    assert database.execute(f"SELECT count(*) FROM {SCHEMA}.evaluations") == "20"


def test_a_reader_has_one_view_and_a_writer_its_turn(database: Database, folder: Path) -> None:
    with run_pooler(database, pool_size=3) as url:
        location = StateLocation(folder, PostgresqlSchema(url, SCHEMA))
        with Store.open(location) as store, Store.open(location, patience=0.2) as other:
            count = "SELECT count(*) FROM dataset_measurements"
            with store.database.begin_read() as view:
                assert view.exec_driver_sql(count).scalar() == 0
                other.measurements.add("d", "f", {}, None)
                assert view.exec_driver_sql(count).scalar() == 0
            with store.database.begin_write():
                assert len(other.measurements.history("d")) == 1
                with pytest.raises(StoreError, match="another process is writing"):
                    other.measurements.add("d", "g", {}, None)


def test_threads_of_one_state_share_what_the_pool_has(store: Store) -> None:
    def add(name: str) -> None:
        for number in range(5):
            store.measurements.add(name, str(number), {"row_count": MetricValue(1.0)}, None)

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(store.measurements.history(name)) for name in "abcdef"] == [5] * 6


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(location: StateLocation) -> None:
    assert location.rows is not None
    pipe, url = subprocess.PIPE, location.rows.url
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, location.folder, str(number)], stdin=pipe, stderr=pipe, text=True
        )
        for number in range(WRITERS)
    ]
    for one in writers:
        assert one.stdin is not None
        one.stdin.write(url + "\n")
        one.stdin.flush()
    for one in writers:
        _, said = one.communicate(timeout=200)
        assert (one.returncode, said) == (0, "")
    with Store.open(location) as store:
        newest = store.models.find_newest("authorization")
        assert newest is not None
        assert newest.version == WRITERS * TURNS
        assert len(list((location.folder / "models" / "authorization").iterdir())) == WRITERS * TURNS
        for number in range(WRITERS):
            found = store.measurements.find("t", str(number))
            assert found is not None
            assert found[0]["row_count"].value == TURNS - 1


def test_another_folder_is_refused_and_adopts(location: StateLocation, tmp_path: Path) -> None:
    Store.open(location).close()
    other = StateLocation(tmp_path / "elsewhere", location.rows)
    with pytest.raises(StoreError, match="belong to the folder") as refused:
        Store.open(other)
    assert PASSWORD not in str(refused.value)
    assert adopt_rows(other).former is not None
    Store.open(other).close()


def test_a_pooler_that_is_gone_or_gives_no_connection_is_reported(database: Database, folder: Path) -> None:
    with run_pooler(database, pool_size=1) as url:
        location = StateLocation(folder, PostgresqlSchema(url, SCHEMA, timeout=2))
        store = Store.open(location)
    with store, pytest.raises(StoreError, match=r"cannot be reached|the connection was lost") as told:
        store.runs.count()
    assert PASSWORD not in str(told.value)
