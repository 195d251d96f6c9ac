"""Create or migrate the tables of a state.

The revision is read by plain SQL, because alembic is slow to import and is needed only for a migration. All migrations
and the new revision are one transaction, and a lock lets one process at a time migrate.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from engine.store.database import Database, create_database_engine
from engine.store.errors import build_store_error, check_database_file, translate_errors
from engine.store.locks import hold_file_lock

REVISION = "0010"
FOREIGN_DATABASE = "foreign"
MIGRATIONS = Path(__file__).parent / "migrations"


def read_revision(connection: Connection) -> str | None:
    """Return the revision of the schema; None for an empty database, FOREIGN for the database of another program."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found
    return FOREIGN_DATABASE if tables else None


def prepare_schema(database: Database, migrations: Path = MIGRATIONS, target: str = REVISION) -> None:
    """Create the tables of a database, or migrate them to the revision `target`.

    Raises
    ------
    StoreError
        The database is newer than this engine, is not a state, or cannot be used.
    """
    check_database_file(database.folder)
    with translate_errors(database.folder):
        if _find_revision(database) != target:
            with hold_file_lock(database.folder, "schema"):
                if _find_revision(database) != target:  # another process may have done it while this one waited
                    _migrate_schema(database, migrations, target)


def is_current_schema(database: Database) -> bool:
    """Return whether the database exists and has the tables of this engine; raises StoreError as above."""
    check_database_file(database.folder)
    with translate_errors(database.folder):
        return _find_revision(database) == REVISION


def _find_revision(database: Database) -> str | None:
    path = Path(database.url.database or "")
    # Another process is creating an empty file just now: reading it would disturb the change to WAL mode.
    if not path.exists() or not path.stat().st_size:
        return None
    with database.begin_read() as connection:
        found = read_revision(connection)
    if found == FOREIGN_DATABASE:
        raise build_store_error(
            database.folder,
            "state.db is a database, but not the state of a project",
            "choose another folder with `state: {path: …}`",
        )
    return found


def _migrate_schema(database: Database, migrations: Path, target: str) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(migrations, version_locations=[migrations / "versions"])
    revisions = {script.revision for script in scripts.walk_revisions()}
    engine = create_database_engine(database.url, database.patience, migrating=True)
    try:
        with engine.execution_options(writes=True).begin() as connection:
            found = read_revision(connection)
            if found is not None and found not in revisions:
                raise build_store_error(
                    database.folder,
                    f"state.db was written by a newer engine (schema {found}; this engine knows up to {target})",
                    "use that engine, or upgrade this one: pip install --upgrade engine",
                )
            context = MigrationContext.configure(
                connection, opts={"fn": lambda now, context: scripts._upgrade_revs(target, now)}
            )
            with Operations.context(context):
                context.run_migrations()
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise build_store_error(
                    database.folder,
                    f"migrating would leave rows of {broken[0]} without an owner",
                    "report this as a bug",
                )
    finally:
        engine.dispose()
