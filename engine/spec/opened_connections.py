"""Opens the connections to databases that a project declares."""

from pathlib import Path

from engine.connections.database_errors import DatabaseError
from engine.connections.duckdb import DuckdbSession, open_duckdb
from engine.connections.postgresql import PostgresqlSession, confine_postgresql_url, open_postgresql
from engine.spec.project import ProjectSpec
from engine.spec.resources.connections import DuckdbConnection, PostgresqlConnection
from engine.spec.secrets import Secrets
from engine.spec.variable_references import find_only_reference, find_references

DatabaseSession = PostgresqlSession | DuckdbSession


def open_connection(project: ProjectSpec, name: str, secrets: Secrets, *, read_only: bool = False) -> DatabaseSession:
    """Open a connection to a database: a session with a transaction, to be used in a `with`.

    Parameters
    ----------
    name
        The name of a connection of the kind postgresql or duckdb.
    secrets
        Those of the project; the password is masked in the texts that pass through them from now on.
    read_only
        Whether nothing may be written, and all queries see the same state.

    Raises
    ------
    DatabaseError
        The database does not answer, or refuses the login; the message names the connection.
    SpecError
        A secret of the connection has no value.
    """
    declared = project.connections[name]
    try:
        if isinstance(declared, PostgresqlConnection):
            url = secrets.with_project(project).reveal(declared.url)
            if url is None:
                absent = ", ".join(secrets.list_absent(declared.url))
                raise DatabaseError(f"the secret {absent} in its url has no value")
            confinement = project.confinement
            if confinement is not None and ("connections", name) not in confinement.given and not _is_secret(declared):
                url = confine_postgresql_url(url)
            session: DatabaseSession = open_postgresql(
                url, schema=declared.db_schema, timeout=declared.timeout, read_only=read_only
            )
        else:
            session = open_duckdb(
                project.check_path(locate_duckdb_file(project, name), writes=not read_only), read_only=read_only
            )
    except DatabaseError as error:
        raise DatabaseError(f"connection {name!r}: {error}", error.code, transient=error.transient) from None
    session.place = f"connection {name!r}: {session.place}"
    return session


def _is_secret(declared: PostgresqlConnection) -> bool:
    """Tell whether the url is a secret as a whole, which on a node only its owner gives."""
    only = find_only_reference(declared.url)
    return only is not None and only.parts[:1] == ("secret",)


def locate_duckdb_file(project: ProjectSpec, name: str) -> Path:
    """Return the path of the file of a connection of kind duckdb; raises RefusedPathError."""
    declared = project.connections[name]
    if not isinstance(declared, DuckdbConnection):
        raise TypeError(f"connection {name} is no database")
    return project.check_path(project.folder_of("connections", name) / declared.path)


def describe_connection(project: ProjectSpec, name: str) -> str:
    """Return the declaration of a connection with the present values of the variables in it, and without secrets."""
    declared = project.connections[name]
    used = {
        one.parts[0]: project.names.get(one.parts[0])
        for one in find_references(getattr(declared, "url", ""))
        if one.parts[:1] != ("secret",)
    }
    return f"{declared.model_dump_json()} {used!r}"
