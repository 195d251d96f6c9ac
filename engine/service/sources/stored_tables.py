"""Checks the database tables that triggers watch for changes."""

import os
from collections.abc import Mapping
from pathlib import Path

from engine.connections.postgresql import PostgresqlSession
from engine.connections.postgresql_changes import digest_table, find_table_marker
from engine.digests import digest_texts
from engine.errors import DataError
from engine.file_identity import FileIdentity
from engine.service.triggers.seen_files import SeenFiles
from engine.spec import ProjectSpec
from engine.spec.opened_connections import locate_duckdb_file, open_connection
from engine.spec.resources.connections import DuckdbConnection
from engine.spec.secrets.values import Secrets


def look_at_table(project: ProjectSpec, name: str, known: SeenFiles | None, environ: Mapping[str, str]) -> SeenFiles:
    """Return the digests of the table of a dataset, which a trigger stores.

    A PostgreSQL table is read only if the server's change counters have changed. For DuckDB, the file is examined
    instead of the table, because no other process can read it while a process has it open for writing.

    Parameters
    ----------
    known
        The stored digests.

    Raises
    ------
    DataError
        The table cannot be read; the message contains no secret.
    """
    table = project.find_table(name)
    if table is None:
        raise TypeError(f"dataset {name} reads no table")
    place = f"{table[1]} of {table[0]}"
    if isinstance(project.connections[table[0]], DuckdbConnection):
        states = _describe_file(locate_duckdb_file(project, table[0]), name)
        return SeenFiles(place, states, states)
    secrets = Secrets(project, environ)
    try:
        with open_connection(project, table[0], secrets, read_only=True) as session:
            assert isinstance(session, PostgresqlSession)  # noqa: S101 - the only other kind
            columns, counts = find_table_marker(session, table[1])
            states = digest_texts(place, columns, counts or "")
            if counts is not None and known is not None and known.states == states:
                return known
            return SeenFiles(place, states, digest_texts(columns, digest_table(session, table[1])))
    except DataError as error:
        raise DataError(secrets.redact(f"dataset {name!r}: {error}")) from None


def _describe_file(path: Path, name: str) -> str:
    """Return a digest of the identities of a DuckDB file and its write-ahead log."""
    try:
        states = [FileIdentity.from_stat(os.stat(path))]  # noqa: PTH116 - as in `file_identity`
    except OSError as error:
        raise DataError(f"dataset {name!r}: {path} cannot be read: {error.strerror}") from error
    log = path.with_name(path.name + ".wal")
    if log.exists():
        states.append(FileIdentity.from_stat(log.stat()))
    return digest_texts(*(repr(one[:3]) for one in states))
