"""Where the state of a project is: a folder, and its rows in a file there or on a server."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from engine.errors import SpecError
from engine.spec import ProjectSpec
from engine.spec.resources.connections import PostgresqlConnection
from engine.spec.secrets.values import Secrets
from engine.store.clock import utc_now
from engine.store.databases.database import Database
from engine.store.databases.errors import build_store_error
from engine.store.databases.sqlite import SqliteDatabase
from engine.store.folders import safe_name
from engine.store.schema import is_current_schema

PATIENCE_SECONDS = 10.0
"""How long a database is waited for that another process has locked."""

MOST_NAME_BYTES = 63
"""Longer names of schemas are cut by PostgreSQL, without an error."""


@dataclass(frozen=True, slots=True)
class PostgresqlSchema:
    """A schema of a PostgreSQL database.

    Attributes
    ----------
    url
        The address of the database, with its password.
    timeout
        Seconds to wait for a connection.
    """

    url: str = field(repr=False)
    schema: str
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class StateLocation:
    """The folder of a state, with files and locks, and the schema with its rows; None: they are in the folder too."""

    folder: Path
    rows: PostgresqlSchema | None = None

    def open_database(
        self,
        *,
        now: Callable[[], datetime] = utc_now,
        patience: float = PATIENCE_SECONDS,
        read_only: bool = False,
    ) -> Database:
        """Return the database; it is connected to when it is first used. Raises StoreError without its driver."""
        folder = self.folder.absolute()
        if self.rows is None:
            return SqliteDatabase(folder, now=now, patience=patience, read_only=read_only)
        from engine.store.databases.postgresql import PostgresqlDatabase

        return PostgresqlDatabase(
            folder,
            self.rows.url,
            self.rows.schema,
            timeout=self.rows.timeout,
            now=now,
            patience=patience,
            read_only=read_only,
        )


def as_location(place: Path | StateLocation) -> StateLocation:
    """Return a place as a location; a folder has its rows too."""
    return place if isinstance(place, StateLocation) else StateLocation(place)


def locate_state(
    project: ProjectSpec, environ: Mapping[str, str] = os.environ, folder: Path | None = None
) -> StateLocation:
    """Return where the state of a project is.

    Parameters
    ----------
    environ
        The environment variables that secrets refer to.
    folder
        A folder to use in its place: if it is another one, such as a copy, its rows are in it.

    Raises
    ------
    StoreError
        The address of the database cannot be used, or a secret in it has no value.
    """
    own = resolve_state_folder(project)
    name = project.state.connection
    if name is None or (folder is not None and folder.absolute() != own.absolute()):
        return StateLocation(folder or own)
    connection = project.connections[name]
    if not isinstance(connection, PostgresqlConnection):
        raise TypeError(f"connection {name} is not one to PostgreSQL")
    from engine.connections.database_errors import DatabaseError
    from engine.connections.postgresql_errors import check_postgresql_url

    try:
        url = Secrets(project, environ).reveal(connection.url)
        if url is None:
            raise DatabaseError("a secret in its url has no value")
        check_postgresql_url(url)
    except (DatabaseError, SpecError) as error:
        found = error.diagnostics[0].message if isinstance(error, SpecError) else str(error)
        raise build_store_error(
            own, f"its rows are in connection {name!r}, but {found}", "provide it, or mend the url"
        ) from None
    return StateLocation(own, PostgresqlSchema(url, name_schema(project), connection.timeout))


def name_schema(project: ProjectSpec) -> str:
    """Return the name of the schema with the state of a project: what the spec says, else one made of its name.

    A deployment has another one than the project that it was made of.
    """
    if project.state.db_schema is not None:
        return project.state.db_schema
    parts = ["engine", project.name, *([project.revision.deployment] if project.revision else [])]
    name = "_".join(re.sub(r"[^a-z0-9]", "_", safe_name(part)) for part in parts)
    if len(name) <= MOST_NAME_BYTES:
        return name
    return re.sub(r"[^a-z0-9]", "_", safe_name(" ".join(parts)))[:MOST_NAME_BYTES]


def has_rows(location: StateLocation) -> bool:
    """Return whether a state has the tables of this engine; raises StoreError if it cannot be asked."""
    database = location.open_database()
    try:
        return is_current_schema(database)
    finally:
        database.close()


def resolve_state_folder(project: ProjectSpec) -> Path:
    """Return the folder of the project's state.

    Each project has a folder of its own, so two specs in the same folder share no state. That of a deployment stays
    when its release changes.
    """
    folder = project.home / project.state.path
    if project.revision is not None:  # a way that leads through `home` needs that folder, and is no way to show
        folder = Path(os.path.normpath(folder))
    return folder / safe_name(project.name)
