"""The location of a project's state: a folder, and its rows in a file there or on a server."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

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
"""Seconds to wait for a database that another process has locked."""

MOST_NAME_BYTES = 63
"""Most bytes of a schema's name: PostgreSQL cuts longer names without an error."""


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


class StateLocation(NamedTuple):
    """The folder of a state, with files and locks, and the schema with its rows; None if they are in the folder."""

    folder: Path
    rows: PostgresqlSchema | None = None

    def open_database(
        self,
        *,
        now: Callable[[], datetime] = utc_now,
        patience: float = PATIENCE_SECONDS,
        read_only: bool = False,
    ) -> Database:
        """Return the database, which connects at its first use; raise StoreError if its driver is missing."""
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
    """Return a place as a location; a path means a folder with its rows."""
    return place if isinstance(place, StateLocation) else StateLocation(place)


def locate_state(
    project: ProjectSpec, environ: Mapping[str, str] = os.environ, folder: Path | None = None
) -> StateLocation:
    """Return the location of a project's state.

    Parameters
    ----------
    environ
        The environment variables that secrets refer to.
    folder
        A folder to use instead, such as a copy, which has its rows.

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
            own, f"its rows are in connection {name!r}, but {found}", "provide it, or correct the url"
        ) from None
    return StateLocation(own, PostgresqlSchema(url, name_schema(project), connection.timeout))


def name_schema(project: ProjectSpec) -> str:
    """Return the name of the schema with the state of a project: from the spec, else made from the project's name.

    A deployment has another schema than its project.
    """
    if project.state.db_schema is not None:
        return project.state.db_schema
    parts = ["engine", project.name, *([project.revision.deployment] if project.revision else [])]
    name = "_".join(re.sub(r"[^a-z0-9]", "_", safe_name(part)) for part in parts)
    if len(name) <= MOST_NAME_BYTES:
        return name
    return re.sub(r"[^a-z0-9]", "_", safe_name(" ".join(parts)))[:MOST_NAME_BYTES]


def has_rows(location: StateLocation) -> bool:
    """Return whether a state has the tables of this engine; raise StoreError if its database cannot be read."""
    database = location.open_database()
    try:
        return is_current_schema(database)
    finally:
        database.close()


def resolve_state_folder(project: ProjectSpec) -> Path:
    """Return the folder of the project's state.

    Each project has its own folder, so two specs in one directory share no state. The folder of a deployment does not
    depend on its release.
    """
    folder = project.home / project.state.path
    if project.revision is not None:  # without `..`, so that the path does not depend on the folder `home`
        folder = Path(os.path.normpath(folder))
    return folder / safe_name(project.name)
