"""Creates or migrates the tables of a state.

New tables are created from the declarations in `tables`, and the revision is read without alembic, because alembic is
slow to import and needed only for a migration. All migrations and the new revision are one transaction, under a lock
between processes. Before a migration, an SQLite file is copied: the copy takes as much disk space as the rows, but it
is the only way back. For a database server, backups are left to its administrator.
"""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, select

from engine.store.databases.database import Database
from engine.store.databases.errors import build_store_error
from engine.store.locks import hold_file_lock
from engine.store.tables import metadata

REVISION = "0012"
MIGRATIONS = Path(__file__).parent / "migrations"

VERSION_TABLE = "alembic_version"
_revisions = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""The table in which alembic stores the revision."""


def prepare_schema(
    database: Database,
    migrations: Path = MIGRATIONS,
    target: str = REVISION,
    *,
    fill: Callable[[Connection], object] | None = None,
) -> None:
    """Create the tables of a database, or copy it and migrate them to the revision `target`.

    `fill` adds rows to new tables, in the same transaction.

    Raises
    ------
    StoreError
        The database is newer than this engine, is not a state, or cannot be used.
    """
    database.check_place()
    with database.translate_errors():
        if find_revision(database) != target:
            with hold_file_lock(database.folder, "schema"):
                found = find_revision(database)  # another process may have done it while this one waited
                if found is None and fill is None:
                    database.check_new()
                if found is None and (migrations, target) == (MIGRATIONS, REVISION):
                    _change_schema(database, _create_tables, fill)
                elif found != target:
                    _migrate_schema(database, migrations, found, target, fill)


def is_current_schema(database: Database) -> bool:
    """Return whether the database exists and has the tables of this engine; raise StoreError as `find_revision`."""
    database.check_place()
    with database.translate_errors():
        return find_revision(database) == REVISION


def find_revision(database: Database) -> str | None:
    """Return the revision of the tables; None if there are none.

    Raises
    ------
    StoreError
        The database has tables, but not those of a state.
    """
    if not database.exists():
        return None
    with database.begin_read() as connection:
        tables = database.list_tables(connection)
        if VERSION_TABLE in tables:
            found: str | None = connection.scalar(select(_revisions.c.version_num))
            return found
    if tables:
        raise database.build_foreign_error()
    return None


def _migrate_schema(
    database: Database,
    migrations: Path,
    found: str | None,
    target: str,
    fill: Callable[[Connection], object] | None,
) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(migrations, version_locations=[migrations / "versions"])
    revisions = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in revisions:
        raise build_store_error(
            database.folder,
            f"{database.name} was written by a newer engine (schema {found}; this engine supports up to {target})",
            "use that engine, or upgrade this one: pip install --upgrade engine"
            + database.describe_way_back(revisions),
        )

    def migrate(connection: Connection) -> None:
        if found is not None and (kept := database.keep_copy(found, revisions)):
            database.migration = (
                f"the tables of {database.name} were migrated from {found} to {target}; how it was before is kept "
                f"as {kept}, for the way back to an older version of the engine"
            )
        context = MigrationContext.configure(
            connection, opts={"fn": lambda now, context: scripts._upgrade_revs(target, now)}
        )
        with Operations.context(context):
            context.run_migrations()

    _change_schema(database, migrate, fill)


def _create_tables(connection: Connection) -> None:
    """Create all tables directly, with the same result as all migrations."""
    metadata.create_all(connection, checkfirst=False)
    _revisions.create(connection)
    connection.execute(insert(_revisions).values(version_num=REVISION))


def _change_schema(
    database: Database, change: Callable[[Connection], None], fill: Callable[[Connection], object] | None
) -> None:
    """Call `change`, which creates or migrates the tables, and `fill`, which adds rows, in one transaction."""
    engine = database.create_engine(migrating=True)
    try:
        with database.open_transaction(engine.execution_options(writes=True)) as connection:
            database.begin_migration(connection)
            change(connection)
            database.end_migration(connection)
            if fill is not None:
                fill(connection)
    finally:
        engine.dispose()
