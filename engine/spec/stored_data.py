"""Finds the place of a dataset's rows by its connection: files, a table of a database, or Spark.

A dataset with `materialize:` writes its rows there. A stored dataset that names the same place is its reader.
"""

from collections.abc import Mapping
from os.path import normpath
from pathlib import Path
from typing import NamedTuple

from engine.spec.resources.connections import Connection, FilesConnection, S3Connection, SparkConnection
from engine.spec.resources.datasets import AnyDataset, FileDataset, FileReading, Materialize, StoredDataset

DatabaseTable = tuple[str, str]
"""The name of a connection to a database, and that of a table in it: `table` or `schema.table`."""


class StoredPlace(NamedTuple):
    """A file of a folder or an object store, or a table of a database. `key` says which of the two."""

    connection: str
    key: str
    name: str


def find_file_dataset(dataset: AnyDataset | None, connections: Mapping[str, Connection]) -> FileDataset | None:
    """Return a declared dataset as one of kind `file`; None if it reads no files.

    A stored dataset reads files if its connection is a folder or an object store. One that lacks a part, which is
    reported elsewhere, reads nothing.
    """
    if isinstance(dataset, FileDataset):
        return None if dataset.connection and not _holds_files(dataset.connection, connections) else dataset
    if (
        isinstance(dataset, StoredDataset)
        and dataset.path is not None
        and _holds_files(dataset.connection, connections)
    ):
        keys = {*FileReading.model_fields, "connection", "path"}
        values = {key: getattr(dataset, key) for key in keys}
        return FileDataset.model_construct(dataset.model_fields_set & keys, **values)
    return None


def find_table(dataset: AnyDataset | None, connections: Mapping[str, Connection]) -> DatabaseTable | None:
    """Return the table that a declared dataset reads; None if it reads no table of a database."""
    if not isinstance(dataset, StoredDataset) or dataset.table is None or dataset.connection not in connections:
        return None
    if isinstance(connections[dataset.connection], FilesConnection | SparkConnection):
        return None
    return dataset.connection, dataset.table


def find_spark_data(dataset: AnyDataset | None, connections: Mapping[str, Connection]) -> StoredPlace | None:
    """Return the table or, if it names none, the path that a declared dataset reads by Spark; None if it does not."""
    if not isinstance(dataset, StoredDataset) or not isinstance(connections.get(dataset.connection), SparkConnection):
        return None
    if dataset.table is not None:
        return StoredPlace(dataset.connection, "table", dataset.table)
    return None if dataset.path is None else StoredPlace(dataset.connection, "path", dataset.path)


def find_kept_place(dataset: AnyDataset | None, connections: Mapping[str, Connection]) -> StoredPlace | None:
    """Return the place where `materialize` keeps the rows of a dataset; None without one, or if a key is missing."""
    kept: Materialize | None = getattr(dataset, "materialize", None)
    return None if kept is None else _find_place(kept.connection, kept.path, kept.table, connections)


def find_writers(
    dataset: AnyDataset | None, datasets: Mapping[str, AnyDataset], connections: Mapping[str, Connection]
) -> list[str]:
    """Return the names of the datasets whose kept rows a stored dataset reads: one, or several that are in conflict."""
    if not isinstance(dataset, StoredDataset):
        return []
    read = _find_place(dataset.connection, dataset.path, dataset.table, connections)
    kept = {name: find_kept_place(one, connections) for name, one in datasets.items()}
    return [name for name, place in kept.items() if place is not None and place == read]


def _find_place(
    connection: str, path: str | None, table: str | None, connections: Mapping[str, Connection]
) -> StoredPlace | None:
    if connection not in connections:
        return None
    if _holds_files(connection, connections):
        return StoredPlace(connection, "path", normpath(path)) if path and path.strip() else None
    return StoredPlace(connection, "table", table) if table else None


def _holds_files(name: str, connections: Mapping[str, Connection]) -> bool:
    return isinstance(connections.get(name), FilesConnection)


def name_object_root(connection: S3Connection) -> Path:
    """Return a placeholder path for the prefix of a bucket, used only for comparisons; the folder does not exist."""
    return Path("/s3:", connection.endpoint or "aws", connection.bucket, connection.prefix.strip("/"))
