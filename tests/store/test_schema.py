"""Making and migrating the database: once, whole, quickly, whoever opens it first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from engine.errors import StoreError
from engine.evaluation.detail import ColumnDetail, ColumnImportance, Histogram
from engine.evaluation.record import Evaluation, MetricValue
from engine.file_identity import FileIdentity
from engine.store import Store
from engine.store.databases.sqlite import SqliteDatabase
from engine.store.location import StateLocation
from engine.store.schema import MIGRATIONS, REVISION, find_revision, prepare_schema
from engine.store.tables import metadata

from ..small_disks import fill_disk, mount_small_disk

SECOND = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "next", "{before}"


def upgrade():
    with op.batch_alter_table("evaluations") as table:
        table.add_column(sa.Column("mood", sa.String, nullable=False, server_default="calm"))
        table.alter_column("engine_version", nullable=True)
{more}
"""
EIGHT = """
import os, sys
from pathlib import Path
from engine.store import Store
ready, go = os.pipe()
children = []
for number in range(8):
    children.append(os.fork())
    if children[-1] == 0:
        os.close(go)
        os.read(ready, 1)  # ends when the parent lets go
        with Store.open(Path(sys.argv[1])) as store:
            store.measurements.add(str(number), "f", {}, None)
        os._exit(0)
os.close(go)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children) != 0)
"""
OPEN = """
import sys
from contextlib import suppress
from pathlib import Path
from engine.store import Store
Store.open(Path(sys.argv[1])).close()
print("alembic" in sys.modules)
"""


@pytest.fixture
def location(folder: Path) -> StateLocation:
    """Give a state of the kind that this module is about."""
    return StateLocation(folder)


def with_second_migration(tmp_path: Path, more: str = "") -> Path:
    migrations = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, migrations)
    (migrations / "versions" / "next.py").write_text(SECOND.format(more=more, before=REVISION))
    return migrations


def found(folder: Path, query: str) -> list[object]:
    engine = SqliteDatabase(folder).create_engine()
    with engine.begin() as connection:
        rows = list(connection.scalars(text(query)))
    engine.dispose()
    return rows


def describe_tables(database: SqliteDatabase) -> dict[str, object]:
    """Return columns, keys and indexes by table; the order of columns and the names of primary keys say nothing."""
    with database.begin_read() as connection:
        tables = inspect(connection)
        return {
            name: (
                sorted((one["name"], str(one["type"]), one["nullable"]) for one in tables.get_columns(name)),
                tables.get_pk_constraint(name)["constrained_columns"],
                tables.get_foreign_keys(name),
                sorted(str(one) for one in tables.get_unique_constraints(name)),
                sorted(str(one) for one in tables.get_indexes(name)),
            )
            for name in tables.get_table_names()
        }


def test_new_tables_are_those_that_the_migrations_lead_to(store: Store, tmp_path: Path) -> None:
    migrated = SqliteDatabase(tmp_path)
    (tmp_path / "locks").mkdir()
    prepare_schema(migrated, target="0001")
    prepare_schema(migrated)
    with migrated.begin_read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert isinstance(store.database, SqliteDatabase)
    assert describe_tables(store.database) == describe_tables(migrated)
    assert find_revision(store.database) == find_revision(migrated) == REVISION
    assert ScriptDirectory(MIGRATIONS, version_locations=[MIGRATIONS / "versions"]).get_heads() == [REVISION]
    migrated.close()


def test_the_database_is_as_it_should_be(store: Store) -> None:
    with store.database.begin_read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "foreign_keys": 1}


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_eight_processes_open_a_fresh_store_at_once(tmp_path: Path) -> None:
    for turn in range(3):
        folder = tmp_path / str(turn)
        assert run(EIGHT, str(folder)) == ""
        with Store.open(folder) as store:
            found = [store.measurements.find(str(number), "f") for number in range(8)]
            assert all(stored is not None and stored[0] == {} for stored in found)


def test_opening_what_is_up_to_date_needs_no_alembic(folder: Path) -> None:
    Store.open(folder).close()
    assert run(OPEN, str(folder)).strip() == "False"


def test_a_state_of_the_first_revision_is_read_and_its_files_are_hashed_once_more(
    folder: Path, make_evaluation: type[Evaluation]
) -> None:
    (folder / "locks").mkdir(parents=True)
    prepare_schema(SqliteDatabase(folder), target="0001")
    assert "inode" not in str(found(folder, "SELECT sql FROM sqlite_master WHERE name = 'file_hashes'"))
    engine = SqliteDatabase(folder).create_engine()
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("INSERT INTO file_hashes VALUES ('/data/a.csv', 10, 7, 'h')"))
    engine.dispose()
    with Store.open(folder) as store:
        store.evaluations.add(make_evaluation())
        assert store.file_hashes.get("/data/a.csv", FileIdentity(1, 10, 7, 8)) is None
        assert store.file_hashes.was_touched("/data/a.csv", FileIdentity(1, 10, 9, 9), "h")
    assert found(folder, "SELECT version_num FROM alembic_version") == [REVISION]


OLD_EVALUATION = """
INSERT INTO evaluations VALUES (
    {number}, :id, 'the_MES', 'Q{number}', '{{"quarter": "Q{number}"}}', '2026-11-23 12:00:00', 'm', 'd', 'r', 'p',
    '0.1.0', '1', 10, 9, 100, '{{"é": {{"role": "categorical", "significant": true,
    "histogram": {{"labels": ["a"], "reference": [1], "batch": [2]}}}}}}', '{{"id": "an identifier"}}',
    '{{"drift": {{"é": 1.0}}}}', '{{}}', '{{}}', '["a note"]', 'fraud', '1', 'a run', '{{"spec": {number}}}')
"""
RUN = "'p', 's', '2026-11-23 12:00:00', 'ann', 'manual', NULL, '{}', NULL, NULL"
OLD_ROWS = [
    "INSERT INTO evaluation_metrics VALUES (1, 0, 'data_drift', 0.5, 0.45, 0.55, 0.5, NULL, 0, 0)",
    f"INSERT INTO runs VALUES (1, '20261123-120000-000000-7f3a9c1b', {RUN})",
    f"INSERT INTO runs VALUES (2, 'odd', {RUN})",
    """INSERT INTO model_versions VALUES (1, 'fraud', 3, 'abc', '2026-11-23 12:00:00', 'x', '{"held_out_by": 1}')""",
]


def test_a_state_of_before_the_details_were_apart_is_migrated_without_loss(
    folder: Path, make_evaluation: type[Evaluation]
) -> None:
    (folder / "locks").mkdir(parents=True)
    old = SqliteDatabase(folder)
    prepare_schema(old, target="0003")
    ids = {1: "20261123-120000-000000-aaaa1111", 2: "-odd id-", 3: "no hyphen"}
    with old.begin_write() as connection:
        for number, id_ in ids.items():
            connection.execute(text(OLD_EVALUATION.format(number=number)), {"id": id_})
        for statement in OLD_ROWS:
            connection.exec_driver_sql(statement)
    old.close()
    with Store.open(folder) as store:
        one, two, three = store.evaluations.history("the_MES")
        assert [each.id for each in (one, two, three)] == list(ids.values())
        assert one == make_evaluation(
            name="Q1",
            id=ids[1],
            metrics={"data_drift": MetricValue(0.5, 0.45, 0.55, 0.5)},
            columns={
                "é": ColumnDetail(
                    role="categorical",
                    significant=True,
                    histogram=Histogram(labels=("a",), reference=(1,), batch=(2,)),
                )
            },
            left_out={"id": "an identifier"},
            importance=ColumnImportance(drift={"é": 1.0}),
            notes=("a note",),
            model="fraud",
            model_version="1",
            run="a run",
            facts={"spec": 1},
        )
        assert all((each.time, each.moment) == (None, each.created) for each in (one, two, three))
        assert (two.facts, three.facts) == ({"spec": 2}, {"spec": 3})
        assert store.evaluations.find_ids("the_MES", "aaaa") == [ids[1]]
        assert store.evaluations.find_ids("the_MES", "no hyphen") == [ids[3]]
        assert store.evaluations.find_ids("the_MES", "-odd id-") == [ids[2]]
        assert store.runs.find_ids("7f3a9c1b") == ["20261123-120000-000000-7f3a9c1b"]
        assert store.runs.find_ids("odd") == ["odd"]
        assert all(run.as_of == run.started for run in store.runs.history())
        version = store.models.find("fraud", 3)
        assert version is not None
        assert (version.identity, version.held_out) == ("abc.3", "abc.1")
        assert found(folder, "SELECT short_id FROM evaluations ORDER BY number") == ["aaaa1111", "", "no hyphen"]


OLDER_ROWS = [
    """INSERT INTO evaluations VALUES (1, 'e1', 'x', 'w1', '{}', '2026-11-20 12:00:00', 'm', 'd', 'r', 'p', '0.1.0',
    '1', 10, 10, 10, '[]', NULL, NULL, 'first', 'e1', 1, '2026-11-20 00:00:00', NULL, '2026-11-20', NULL, NULL)""",
    "INSERT INTO evaluation_details VALUES (1, '{}', '{}', '{}', '{}', '{}', '{}')",
    "INSERT INTO evaluation_metrics VALUES (1, 0, 'data_drift', 0.5, 0.45, 0.55, 0.5, NULL, 0, 0)",
    *(
        f"INSERT INTO runs VALUES ({number}, '{name}', 'p', 's', '2026-11-20 12:00:00', 'ann', 'manual', NULL, '{{}}', "
        f"{ended}, {outcome}, '{name}', '2026-11-20 12:00:00')"
        for number, name, ended, outcome in (
            (1, "parent", "'2026-11-20 12:09:00'", "'SUCCESS'"),
            (2, "child", "'2026-11-20 12:05:00'", "'FAILED'"),
            (3, "same time", "'2026-11-20 12:09:00'", "'ABORTED'"),
            (4, "at work", "NULL", "NULL"),
        )
    ),
    """INSERT INTO outbox VALUES (1, 'm1', 'parent', 'tell', 'box', '["a@b"]', 'subject', 'text', '2026-11-20 12:00:00',
    'PENDING', 0, NULL, NULL, NULL, NULL, NULL)""",
]


def test_a_state_of_before_triggers_keeps_everything_and_knows_in_which_order_runs_ended(folder: Path) -> None:
    (folder / "locks").mkdir(parents=True)
    old = SqliteDatabase(folder)
    prepare_schema(old, target="0007")
    with old.begin_write() as connection:
        for statement in OLDER_ROWS:
            connection.exec_driver_sql(statement)
    old.close()
    with Store.open(folder) as store:
        ends = [(end.number, end.run, end.scenario, end.outcome) for end in store.run_ends.list_after(0)]
        assert ends == [(1, "child", "s", "FAILED"), (2, "parent", "s", "SUCCESS"), (3, "same time", "s", "ABORTED")]
        assert [run.state for run in store.runs.history()] == ["SUCCESS", "FAILED", "ABORTED", "RUNNING"]
        assert all((run.fire, run.spec) == (None, None) for run in store.runs.history())
        assert (store.fires.list_states(), store.fires.history(), store.pauses.history()) == ([], [], [])
        (evaluation,) = store.evaluations.history("x")
        assert evaluation.metrics == {"data_drift": MetricValue(0.5, 0.45, 0.55, 0.5)}
        assert evaluation.files_removed is None
        assert [message.id for message in store.outbox.list_undelivered()] == ["m1"]
        store.runs.abort_dead()
        assert [end.run for end in store.run_ends.list_after(3)] == ["at work"]


def test_a_model_that_was_active_before_revisions_were_recorded_counts_until_the_next_activation(folder: Path) -> None:
    (folder / "locks").mkdir(parents=True)
    old = SqliteDatabase(folder)
    prepare_schema(old, target="0009")
    with old.begin_write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO model_versions VALUES (1, 'm', 1, 'f', '2026-11-20 12:00:00', 'models/m/1', '{}', 'i')"
        )
        connection.exec_driver_sql("INSERT INTO active_models VALUES ('m', 1, '2026-11-20 12:00:00', 'v1')")
    old.close()
    with Store.open(folder) as store:

        def find_active(revision: int) -> int | None:
            found = store.models.find_active("m", revision)
            return None if found is None else found.version

        assert [find_active(number) for number in (0, 7)] == [1, 1]
        store.models.replace_active({}, "v2", 8)
        assert [find_active(number) for number in (7, 8)] == [1, None]
        store.models.replace_active({"m": 1}, "v3", 8)
        store.models.continue_active(8, 9)
        assert [(one.version, one.by) for one in store.models.list_active(9)] == [(1, "v3")]


def test_a_migration_keeps_the_data(store: Store, tmp_path: Path, make_evaluation: type[Evaluation]) -> None:
    store.evaluations.add(make_evaluation())
    store.close()
    prepare_schema(store.database, with_second_migration(tmp_path), "next")
    assert found(store.folder, "SELECT version_num FROM alembic_version") == ["next"]
    assert found(store.folder, "SELECT mood FROM evaluations") == ["calm"]
    assert found(store.folder, "SELECT count(*) FROM evaluation_metrics") == [2]


def test_a_state_can_go_back_to_how_it_was_before_a_migration(
    store: Store, tmp_path: Path, make_evaluation: type[Evaluation]
) -> None:
    evaluation = make_evaluation()
    store.evaluations.add(evaluation)  # what is in the write-ahead log only is in the copy too
    for number in (1, 2):
        (store.folder / f"state.db.000{number}").touch()
        os.utime(store.folder / f"state.db.000{number}", (number, number))
    (store.folder / "state.db.part").write_bytes(b"half a copy")
    (store.folder / "state.db.bak").touch()  # of somebody else
    prepare_schema(store.database, with_second_migration(tmp_path), "next")
    copy = store.folder / f"state.db.{REVISION}"
    assert f"migrated from {REVISION} to next; how it was before is kept as {copy}" in store.database.migration
    assert sorted(path.name for path in store.folder.glob("state.db.*")) == ["state.db.0002", copy.name, "state.db.bak"]
    store.close()
    with pytest.raises(StoreError, match=rf"or go back .* rename state\.db\.{REVISION} to state\.db\."):
        Store.open(store.folder)
    for name in ("state.db-wal", "state.db-shm"):
        (store.folder / name).unlink(missing_ok=True)
    copy.rename(store.folder / "state.db")
    with Store.open(store.folder) as again:
        assert again.evaluations.history("the_MES") == [evaluation]


def test_a_state_is_not_migrated_where_no_copy_has_room(
    folder: Path, tmp_path: Path, make_evaluation: type[Evaluation]
) -> None:
    with mount_small_disk(folder, "size=1m"):
        with Store.open(folder) as store:
            store.evaluations.add(make_evaluation())
            store.database.merge_log(whole=True)
            before = found(folder, "SELECT version_num FROM alembic_version")
            fill_disk(folder / "filler")
            with pytest.raises(StoreError, match="the disk is full"):
                prepare_schema(store.database, with_second_migration(tmp_path), "next")
            assert list(folder.glob("state.db.*")) == []
        (folder / "filler").unlink()
        assert found(folder, "SELECT version_num FROM alembic_version") == before
        with Store.open(folder) as again:
            assert len(again.evaluations.history("the_MES")) == 1


def test_a_migration_that_fails_changes_nothing(
    store: Store, tmp_path: Path, make_evaluation: type[Evaluation]
) -> None:
    evaluation = make_evaluation()
    store.evaluations.add(evaluation)
    store.close()
    with pytest.raises(OperationalError, match="no such table: absent"):
        prepare_schema(store.database, with_second_migration(tmp_path, more='    op.drop_table("absent")'), "next")
    with Store.open(store.folder) as again:
        assert again.evaluations.history("the_MES") == [evaluation]
    assert found(store.folder, "SELECT version_num FROM alembic_version") == [REVISION]


def test_a_migration_may_not_leave_rows_without_their_owner(
    store: Store, tmp_path: Path, make_evaluation: type[Evaluation]
) -> None:
    store.evaluations.add(make_evaluation())
    store.close()
    with pytest.raises(StoreError, match=r"would leave rows of evaluation_(details|metrics) without"):
        prepare_schema(
            store.database, with_second_migration(tmp_path, '    op.execute("DELETE FROM evaluations")'), "next"
        )
    assert found(store.folder, "SELECT count(*) FROM evaluations") == [1]


def test_a_newer_store_is_refused_with_what_to_do(store: Store) -> None:
    with store.database.begin_write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    store.close()
    with pytest.raises(StoreError, match=r"newer engine \(schema 0099.*What to do: use that engine, or upgrade"):
        Store.open(store.folder)
