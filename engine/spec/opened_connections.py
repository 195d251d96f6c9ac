"""Opens the connections to databases, object stores and Spark that a project declares."""

from pathlib import Path
from typing import TYPE_CHECKING

from engine.connections.database_errors import DatabaseError
from engine.connections.duckdb import DuckdbSession, open_duckdb
from engine.connections.object_cache import ObjectCache
from engine.connections.object_copies import ObjectCopies
from engine.connections.object_store import ObjectFolder, ObjectStoreLogin
from engine.connections.object_store_errors import ObjectStoreError
from engine.connections.postgresql import PostgresqlSession, confine_postgresql_url, open_postgresql
from engine.digests import digest_texts
from engine.spec.project import ProjectSpec
from engine.spec.resources.connections import DuckdbConnection, PostgresqlConnection, S3Connection, SparkConnection
from engine.spec.secrets.values import Secrets
from engine.spec.variables.references import fill_references, find_only_reference, find_references

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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


def open_spark_session(project: ProjectSpec, name: str, secrets: Secrets) -> "SparkSession":
    """Return the session of a connection of kind spark; start it if this process has none.

    Raises
    ------
    DatabaseError
        Spark does not start or answer; the message names the connection.
    SpecError
        A secret of the connection has no value.
    """
    declared = project.connections[name]
    if not isinstance(declared, SparkConnection):
        raise TypeError(f"connection {name} is not Spark")
    if project.confinement is not None and ("connections", name) not in project.confinement.given:
        raise DatabaseError(f"connection {name!r}: on a node, only its owner gives a connection to Spark")
    from engine.connections.spark import open_spark

    of_project = secrets.with_project(project)

    def reveal(key: str, text: str) -> str:
        if not _names_secret(text):
            return fill_references(text, project.names)
        value = of_project.reveal(text)
        if value is None:
            raise DatabaseError(f"the secret {', '.join(secrets.list_absent(text))} in its {key} has no value")
        return value

    try:
        values = {key: reveal(key, text) for key, text in declared.options.items()}
        secret = {key: values.pop(key) for key, text in declared.options.items() if _names_secret(text)}
        return open_spark(reveal("url", declared.url), values, secret)
    except DatabaseError as error:
        raise DatabaseError(f"connection {name!r}: {error}", error.code, transient=error.transient) from None


def _names_secret(text: str) -> bool:
    return any(one.parts[:1] == ("secret",) for one in find_references(text))


def open_object_folder(project: ProjectSpec, name: str, secrets: Secrets) -> ObjectFolder:
    """Return the objects of a connection of kind s3, without a request.

    Raises
    ------
    ObjectStoreError
        The extra is not installed, or a setting cannot be used; the message names the connection.
    SpecError
        A secret of the connection has no value.
    """
    declared = project.connections[name]
    if not isinstance(declared, S3Connection):
        raise TypeError(f"connection {name} is not an object store")
    of_project = secrets.with_project(project)

    def reveal(key: str) -> str | None:
        written = getattr(declared, key)
        if written is None:
            return None
        value = of_project.reveal(written)
        if value is None:
            raise ObjectStoreError(f"the secret {', '.join(secrets.list_absent(written))} in its {key} has no value")
        return value

    try:
        access_key, secret_key, token = (reveal(key) for key in ("access_key", "secret_key", "session_token"))
        login = ObjectStoreLogin(access_key, secret_key, token) if access_key and secret_key else None
        certificate = None
        if declared.certificate is not None:
            file = project.check_path(project.folder_of("connections", name) / declared.certificate)
            try:
                certificate = file.read_bytes()
            except OSError as error:
                raise ObjectStoreError(f"its certificate {file} cannot be read: {error.strerror}") from None
        return ObjectFolder(
            declared.bucket,
            declared.prefix,
            endpoint=declared.endpoint,
            region=declared.region,
            login=login,
            path_style=declared.path_style,
            allow_http=declared.allow_http,
            certificate=certificate,
            timeout=declared.timeout,
        )
    except ObjectStoreError as error:
        raise ObjectStoreError(f"connection {name!r}: {error}") from None


def open_object_copies(project: ProjectSpec, name: str, secrets: Secrets, cache: Path) -> ObjectCopies:
    """Return the objects of a connection of kind s3 with their copies in a folder, without a request.

    Raises
    ------
    ObjectStoreError, SpecError
        As `open_object_folder`.
    """
    declared = project.connections[name]
    source = open_object_folder(project, name, secrets)
    assert isinstance(declared, S3Connection)  # noqa: S101 - else it was not opened
    place = digest_texts(source.endpoint or "", declared.region, source.bucket, source.prefix)[:16]
    root = cache.absolute() / f"{source.bucket}.{place}"  # two connections of the same place share their copies
    return ObjectCopies(source, ObjectCache(cache), root, round(declared.cache_gb * 1e9))


def _is_secret(declared: PostgresqlConnection) -> bool:
    """Return whether the whole url is a secret, which on a node only its owner provides."""
    only = find_only_reference(declared.url)
    return only is not None and only.parts[:1] == ("secret",)


def locate_duckdb_file(project: ProjectSpec, name: str) -> Path:
    """Return the file of a connection of kind duckdb; raise RefusedPathError if the path is not allowed."""
    declared = project.connections[name]
    if not isinstance(declared, DuckdbConnection):
        raise TypeError(f"connection {name} is not a database")
    return project.check_path(project.folder_of("connections", name) / declared.path)
