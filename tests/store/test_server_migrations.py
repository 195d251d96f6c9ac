"""Tables of earlier revisions on a server: their rows are migrated, all or none, and later ones are left alone."""

from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.store import Store
from engine.store.location import PostgresqlSchema, StateLocation
from engine.store.schema import REVISION, find_revision, prepare_schema
from tests.databases.postgres_server import Database

SCHEMA = "engine_old"
MODEL = "INSERT INTO model_versions (model, version, fingerprint, created, path, facts{more}) VALUES "


@pytest.fixture
def location(database: Database, folder: Path) -> StateLocation:
    """Give a state whose schema is not there yet."""
    (folder / "locks").mkdir(parents=True)
    return StateLocation(folder, PostgresqlSchema(database.url(), SCHEMA))


def make_old(location: StateLocation, revision: str, *statements: str) -> None:
    old = location.open_database()
    prepare_schema(old, target=revision)
    with old.begin_write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    old.close()


@pytest.mark.parametrize("revision", ["0001", "0005", "0009"])
def test_rows_of_earlier_revisions_are_kept(revision: str, location: StateLocation, database: Database) -> None:
    more, value = (", identity", ", 'i'") if revision != "0001" else ("", "")
    values = ", ".join(
        f"('m', {one}, 'f{one}', '2026-11-20 12:00:00', 'models/m/{one}', '{{}}'{value})" for one in (1, 2)
    )
    make_old(location, revision, MODEL.format(more=more) + values)
    for _ in range(2):
        with Store.open(location) as store:
            newest = store.models.find_newest("m")
            assert newest is not None
            assert (newest.version, newest.fingerprint, newest.created.hour) == (2, "f2", 12)
            with store.folders.stage() as files:
                (files / "model").write_text("x")
                store.models.add("other", "f", files)
            assert find_revision(store.database) == REVISION
    owners = "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation o ON o.oid = "
    owners += (
        f"a.attcollation WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind = 'r' AND o.collname <> 'C'"
    )
    assert database.execute(f"{owners} AND c.relname NOT IN ('state_owner')") == "0"


def test_a_migration_that_fails_leaves_the_tables_as_they_were(location: StateLocation, database: Database) -> None:
    make_old(location, "0009", "CREATE VIEW looked_at AS SELECT * FROM model_versions")
    database.execute(f"CREATE TABLE {SCHEMA}.kept (a int)")
    before = database.execute(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace")
    database.execute(f"ALTER TABLE {SCHEMA}.active_models RENAME TO hidden")
    with pytest.raises(StoreError) as told:
        Store.open(location)
    assert "What to do: " in str(told.value)
    assert database.execute(f"SELECT version_num FROM {SCHEMA}.alembic_version") == "0009"
    assert database.execute(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace") == before


def test_tables_of_a_later_engine_are_left_alone(location: StateLocation, database: Database) -> None:
    Store.open(location).close()
    database.execute(f"UPDATE {SCHEMA}.alembic_version SET version_num = '0099'")
    with pytest.raises(StoreError, match=rf"newer engine \(schema 0099; this engine supports up to {REVISION}\)"):
        Store.open(location)
    assert database.execute(f"SELECT version_num FROM {SCHEMA}.alembic_version") == "0099"
