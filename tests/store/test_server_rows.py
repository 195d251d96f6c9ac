"""Rows on a PostgreSQL server: what differs from a file, whose they are, and what goes wrong with servers."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from engine.errors import StoreError
from engine.evaluation.record import Evaluation, MetricValue
from engine.store import RunRecord, Store
from engine.store.location import PostgresqlSchema, StateLocation
from engine.store.schema import REVISION, find_revision
from engine.store.state.adoption import adopt_rows
from engine.store.state.suppositions import open_supposing
from engine.store.state.temporary_copy import can_write, copy_state, open_for_reading
from engine.store.tables import metadata
from tests.databases.postgres_server import PASSWORD, Database, PostgresServer

from ..waiting import wait_for

SCHEMA = "engine_test"

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MakeEvaluation = Callable[..., Evaluation]


@pytest.fixture
def location(server_location: StateLocation) -> StateLocation:
    """Give a state of the kind that this module is about."""
    return server_location


def refusal(location: StateLocation) -> str:
    with pytest.raises(StoreError) as raised, Store.open(location, patience=0.3) as store:
        store.measurements.add("d", "f", {}, None)
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


def elsewhere(location: StateLocation, tmp_path: Path) -> StateLocation:
    return location._replace(folder=tmp_path / "elsewhere")


def test_the_latest_content_is_found_in_json(store: Store) -> None:
    for content in "ab":
        store.measurements.add("é.$", content, {}, None, {"datasets": {"é.$": {"fingerprint": content}}})
    assert store.measurements.find_first("é.$", "b") is not None
    assert store.measurements.find_first("é.$", "a") is None


def test_what_is_read_is_what_was_written(store: Store, make_evaluation: MakeEvaluation) -> None:
    facts = {"z": 1, "a": {"é": -0.0, "large": 1e16, "small": 1e-300, "nul": "\0", "half": "\udc80"}}
    values = {
        "psi.c": MetricValue(0.1 + 0.2, float("-inf"), float("inf"), 5e-324),
        "PSI.c": MetricValue(1.0),
        "psi_c": MetricValue(None, reason="no rows"),
    }
    name = "a\0b'\"\\%s%(x)s \N{SNOWMAN} \udc80"
    written = make_evaluation(name, metrics=values, facts=facts, labels={"z": "1", "a": "2"})
    store.evaluations.add(written)
    (found,) = store.evaluations.history("the_MES")
    assert found.metrics == values
    assert json.dumps(found.facts) == json.dumps({**facts, "a": {**facts["a"], "half": "\\udc80"}})
    assert list(found.labels) == ["z", "a"]
    assert found.name == "a\\x00b'\"\\%s%(x)s \N{SNOWMAN} \\udc80"
    assert (found.created, found.created.tzinfo) == (written.created, UTC)
    (only,) = store.evaluations.history("the_MES", metrics=["psi.*"])
    assert list(only.metrics) == ["psi.c"]


def test_texts_are_sorted_by_their_bytes_and_names_are_not_cut(
    store: Store, location: StateLocation, make_evaluation: MakeEvaluation
) -> None:
    for scenario in ("b", "B", "a", "Ä", "_"):
        store.runs.start(RunRecord(scenario, "p", scenario, NOON, "ann@host"))
    with store.database.begin_read() as connection:
        rows = connection.exec_driver_sql("SELECT scenario FROM runs ORDER BY scenario").scalars().all()
        assert rows == sorted(rows)
        found = connection.exec_driver_sql(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = %s", (SCHEMA,)
        )
        names = set(found.scalars())
    wanted = {index.name for table in metadata.sorted_tables for index in table.indexes} | set(metadata.tables)
    assert wanted <= names
    assert max(len(str(name)) for name in wanted) <= 63


def test_the_rows_belong_to_one_folder_until_another_adopts_them(
    store: Store, location: StateLocation, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    store.evaluations.add(make_evaluation())
    other = elsewhere(location, tmp_path)
    assert f"belong to the folder {location.folder.resolve()} on " in refusal(other)
    assert (can_write(location), can_write(other)) == (True, False)
    store.runs.start(RunRecord("run", "p", "s", NOON, "ann@host"))
    with open_for_reading(other) as reader:
        assert len(reader.evaluations.history("the_MES")) == 1
        assert reader.runs.list_dead() == []  # only the folder of the owner could tell
        with pytest.raises(StoreError, match="belong to the folder"):
            reader.measurements.add("d", "f", {}, None)
    adoption = adopt_rows(other)
    assert adoption.former is not None
    assert adoption.former.folder == str(location.folder.resolve())
    with pytest.raises(StoreError, match="engine state adopt"):  # also of a state that was open before
        store.measurements.add("d", "f", {}, None)
    with Store.open(other) as adopted:
        adopted.measurements.add("d", "f", {}, None)


def test_a_copied_folder_is_another_one_and_the_rows_of_a_server_are_not_forgotten(
    store: Store, location: StateLocation, tmp_path: Path
) -> None:
    other = elsewhere(location, tmp_path)
    other.folder.mkdir()
    (other.folder / "state_id").write_bytes((location.folder / "state_id").read_bytes())
    assert "belong to the folder" in refusal(other)
    assert "but `state:` names no connection" in refusal(StateLocation(location.folder))
    (location.folder / "state_id").write_text("{}")
    assert "state_id is damaged" in refusal(location)


def test_another_schema_does_not_start_empty_while_the_rows_are_in_the_former_one(
    store: Store, location: StateLocation, make_evaluation: MakeEvaluation
) -> None:
    store.evaluations.add(make_evaluation())
    assert location.rows is not None
    other = location._replace(rows=replace(location.rows, schema="other"))
    told = refusal(other)
    assert f"it has no rows yet, but the rows of this folder are in schema '{SCHEMA}'" in told
    with pytest.raises(StoreError, match="are in schema"):
        adopt_rows(other)
    store.close()
    with psycopg.connect(location.rows.url, autocommit=True) as connection:
        connection.execute(f"ALTER SCHEMA {SCHEMA} RENAME TO other")  # the rows are brought there
    for _ in range(2):
        with Store.open(other) as moved:
            assert len(moved.evaluations.history("the_MES")) == 1
    assert "are in schema 'other'" in refusal(location)  # where they were is forgotten


def test_a_file_that_a_killed_move_has_left_is_not_taken_for_the_state(
    store: Store, location: StateLocation, tmp_path: Path
) -> None:
    with Store.open(tmp_path / "file"):
        pass
    (location.folder / "state.db").write_bytes((tmp_path / "file" / "state.db").read_bytes())
    told = refusal(StateLocation(location.folder))
    assert "its rows are in schema" in told
    assert "or remove the file state_id to go on with what is in state.db" in told
    assert adopt_rows(location).copied is None
    assert (location.folder / "state.db.moved").exists()


def test_a_state_moves_from_a_file_to_a_server_whole(
    database: Database, folder: Path, make_evaluation: MakeEvaluation
) -> None:
    target = StateLocation(folder, PostgresqlSchema(database.url(), "moved"))
    with Store.open(folder) as store:
        for number in range(3):
            store.evaluations.add(make_evaluation(f"Q{number}", facts={"n": number}, notes=(f"n{number}",)))
        before = store.evaluations.history("the_MES")
        store.measurements.add("d", "f", {"row_count": MetricValue(7.0)}, None, measured=NOON)
    assert "has a history in state.db" in refusal(target)
    assert (adopt_rows(target).copied or 0) > 10
    assert not (folder / "state.db").exists()
    with Store.open(target) as store:
        assert store.evaluations.history("the_MES") == before
        assert store.measurements.find("d", "f") == ({"row_count": MetricValue(7.0)}, NOON)
        store.evaluations.add(later := make_evaluation("Q3"))  # its number goes on after theirs
        assert store.evaluations.history("the_MES")[-1] == later


def test_plans_and_dry_runs_change_nothing_there(
    store: Store, location: StateLocation, database: Database, tmp_path: Path, make_evaluation: MakeEvaluation
) -> None:
    store.evaluations.add(first := make_evaluation())
    with open_supposing(location) as plan:
        plan.evaluations.add(make_evaluation("supposed"))
        assert [one.name for one in plan.evaluations.history("the_MES")] == [first.name, "supposed"]
    with copy_state(location) as copy, Store.open(copy) as dry:
        assert dry.evaluations.history("the_MES") == [first]
        dry.evaluations.add(make_evaluation("dry"))
    assert store.evaluations.history("the_MES") == [first]
    fresh = StateLocation(tmp_path / "fresh", PostgresqlSchema(database.url(), "fresh"))
    with open_supposing(fresh) as plan:
        assert plan.evaluations.history("the_MES") == []
    prover = fresh.open_database()
    prover.prove_usable()
    assert find_revision(prover) is None
    prover.close()
    assert database.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'fresh'") == "0"


def test_a_writer_has_its_turn_and_a_reader_waits_for_nobody(store: Store, location: StateLocation) -> None:
    with Store.open(location, patience=0.2) as other, store.database.begin_write():
        assert other.measurements.find("d", "f") is None
        with pytest.raises(StoreError, match="another process is writing"):
            other.measurements.add("d", "f", {}, None)
    written = []

    def write(name: str) -> None:
        with Store.open(location) as mine:
            for number in range(10):
                mine.measurements.add(name, str(number), {"row_count": MetricValue(1.0)}, None)
            written.append(name)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written) == list("abcd")
    assert [len(store.measurements.history(name)) for name in "abcd"] == [10] * 4


def test_an_idle_state_has_one_connection(store: Store, database: Database, location: StateLocation) -> None:
    threads = [threading.Thread(target=store.runs.count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = str(location.rows.url).rpartition("/")[2] if location.rows else ""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    wait_for(lambda: database.execute(query) == "1", "the end of the other connections", 5)


KILLED = """
import os, signal, sys
from pathlib import Path
from engine.store import Store
from engine.store.location import PostgresqlSchema, StateLocation
place = StateLocation(Path(sys.argv[1]), PostgresqlSchema(sys.stdin.readline().strip(), sys.argv[2]))
with Store.open(place) as store, store.database.begin_write() as connection:
    connection.exec_driver_sql("DELETE FROM dataset_measurements")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_nothing_and_holds_nothing(store: Store, location: StateLocation) -> None:
    assert location.rows is not None
    store.measurements.add("d", "f", {}, None)
    command = [sys.executable, "-c", KILLED, str(location.folder), SCHEMA]
    ended = subprocess.run(command, input=location.rows.url + "\n", text=True, timeout=60, check=False)
    assert ended.returncode == -9
    store.measurements.add("d", "g", {}, None)
    assert len(store.measurements.history("d")) == 2


def test_what_a_server_refuses_is_reported_in_words(database: Database, folder: Path, tmp_path: Path) -> None:
    def at(url: str, schema: str = "rows", timeout: float = 20) -> StateLocation:
        return StateLocation(folder, PostgresqlSchema(url, schema, timeout=timeout))

    assert "does not accept the password" in refusal(at(database.url(password="wrong one")))
    assert "there is no database 'absent'" in refusal(at(database.url(database="absent")))
    assert "connection refused" in refusal(at("postgresql://me:pw@127.0.0.1:1/x", timeout=2))
    database.execute("CREATE TABLE public.theirs (x int); CREATE USER visitor PASSWORD 'visitor';")
    assert "has tables, but not those of a state" in refusal(at(database.url(), "public"))
    assert "the user has no permission" in refusal(at(database.url("visitor", "visitor")))
    Store.open(at(database.url())).close()
    database.execute("UPDATE rows.alembic_version SET version_num = '0099'")
    assert "was written by a newer engine (schema 0099" in refusal(at(database.url()))
    database.execute(f"UPDATE rows.alembic_version SET version_num = '{REVISION}'; DROP TABLE rows.run_ends CASCADE")
    with Store.open(at(database.url())) as store, pytest.raises(StoreError, match="tables of the state are gone"):
        store.run_ends.newest()


def test_a_lost_connection_loses_the_step_and_not_the_next(store: Store, database: Database) -> None:
    def lose_connections() -> None:
        others = "pid <> pg_backend_pid() AND application_name = 'engine'"
        database.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    def remove_measurements(*, goes_on: bool) -> None:
        with store.database.begin_write() as connection:
            connection.exec_driver_sql("DELETE FROM dataset_measurements")
            lose_connections()
            if goes_on:
                connection.exec_driver_sql("DELETE FROM runs")

    lose_connections()
    store.measurements.add("d", "f", {}, None)  # begun again on a new connection
    with pytest.raises(StoreError, match=r"the connection was lost.*nothing of this step was written"):
        remove_measurements(goes_on=True)
    assert len(store.measurements.history("d")) == 1
    with pytest.raises(StoreError, match="it is not known whether"):
        remove_measurements(goes_on=False)
    assert len(store.measurements.history("d")) == 1


@pytest.mark.slow
def test_a_server_that_restarts_is_waited_for(own_postgres: PostgresServer, folder: Path) -> None:
    database = own_postgres.create_database()
    place = StateLocation(folder, PostgresqlSchema(database.url(), "rows"))
    with Store.open(place) as store:
        store.measurements.add("d", "f", {}, None)
        own_postgres.stop()
        back = threading.Timer(1.0, own_postgres.start)
        back.start()
        store.measurements.add("d", "g", {}, None)
        back.join()
        assert len(store.measurements.history("d")) == 2
        own_postgres.stop()
        began = time.monotonic()
        with pytest.raises(StoreError, match="cannot be reached"):
            store.runs.count()
        assert timedelta(seconds=time.monotonic() - began) < timedelta(seconds=60)
