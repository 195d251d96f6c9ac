"""Making and migrating the database: once, whole, quickly, whoever opens it first."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_mock_engine, text
from sqlalchemy.exc import OperationalError

from engine.errors import StoreError
from engine.evaluation.record import Evaluation
from engine.file_identity import FileIdentity
from engine.store import Store
from engine.store.database import Database, create_database_engine, locate_database
from engine.store.schema import MIGRATIONS, REVISION, prepare_schema, read_revision
from engine.store.tables import metadata

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
from pathlib import Path
from engine.store import Store
Store.open(Path(sys.argv[1])).close()
print("alembic" in sys.modules)
"""


def with_second_migration(tmp_path: Path, more: str = "") -> Path:
    migrations = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, migrations)
    (migrations / "versions" / "next.py").write_text(SECOND.format(more=more, before=REVISION))
    return migrations


def found(folder: Path, query: str) -> list[object]:
    engine = create_database_engine(locate_database(folder), 1.0)
    with engine.begin() as connection:
        rows = list(connection.scalars(text(query)))
    engine.dispose()
    return rows


def test_the_migrations_lead_to_the_tables(store: Store) -> None:
    with store.database.begin_read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert read_revision(connection) == REVISION
    assert ScriptDirectory(MIGRATIONS, version_locations=[MIGRATIONS / "versions"]).get_heads() == [REVISION]


def test_the_tables_are_postgresql_too() -> None:
    said: list[str] = []
    engine = create_mock_engine("postgresql://", lambda sql, *_: said.append(str(sql.compile(dialect=engine.dialect))))
    metadata.create_all(engine)
    assert any("labels JSONB NOT NULL" in sql and "created TIMESTAMP WITH TIME ZONE NOT NULL" in sql for sql in said)


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
    prepare_schema(Database(locate_database(folder), folder), target="0001")
    assert "inode" not in str(found(folder, "SELECT sql FROM sqlite_master WHERE name = 'file_hashes'"))
    engine = create_database_engine(locate_database(folder), 1.0)
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("INSERT INTO file_hashes VALUES ('/data/a.csv', 10, 7, 'h')"))
    engine.dispose()
    with Store.open(folder) as store:
        store.evaluations.add(make_evaluation())
        assert store.file_hashes.get("/data/a.csv", FileIdentity(1, 10, 7, 8)) is None
        assert store.file_hashes.was_touched("/data/a.csv", FileIdentity(1, 10, 9, 9), "h")
    assert found(folder, "SELECT version_num FROM alembic_version") == [REVISION]


def test_a_migration_keeps_the_data(store: Store, tmp_path: Path, make_evaluation: type[Evaluation]) -> None:
    store.evaluations.add(make_evaluation())
    store.close()
    prepare_schema(store.database, with_second_migration(tmp_path), "next")
    assert found(store.folder, "SELECT version_num FROM alembic_version") == ["next"]
    assert found(store.folder, "SELECT mood FROM evaluations") == ["calm"]
    assert found(store.folder, "SELECT count(*) FROM evaluation_metrics") == [2]


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
    with pytest.raises(StoreError, match="would leave rows of evaluation_metrics without an owner"):
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
