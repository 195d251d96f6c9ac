"""Where the rows of datasets are stored: in files, or in a table of a database, as the kind of a connection decides."""

from collections.abc import Mapping

from engine.spec.resources.connections import Connection, FileConnection
from engine.spec.resources.datasets import AnyDataset, FileDataset, FileReading, StoredDataset

DatabaseTable = tuple[str, str]
"""The name of a connection to a database, and that of a table in it: `table` or `schema.table`."""


def find_file_dataset(dataset: AnyDataset | None, connections: Mapping[str, Connection]) -> FileDataset | None:
    """Return the dataset of files that a declared one is, as one of kind `file`; None if it reads no files.

    A stored dataset reads files if its connection is a folder. One that lacks a part, which is reported elsewhere,
    reads nothing.
    """
    if isinstance(dataset, FileDataset):
        return None if dataset.connection and not _is_folder(dataset.connection, connections) else dataset
    if isinstance(dataset, StoredDataset) and dataset.path is not None and _is_folder(dataset.connection, connections):
        keys = {*FileReading.model_fields, "connection", "path"}
        values = {key: getattr(dataset, key) for key in keys}
        return FileDataset.model_construct(dataset.model_fields_set & keys, **values)
    return None


def find_table(dataset: AnyDataset | None, connections: Mapping[str, Connection]) -> DatabaseTable | None:
    """Return the table that a declared dataset reads; None if it reads no table of a database."""
    if not isinstance(dataset, StoredDataset) or dataset.table is None or dataset.connection not in connections:
        return None
    return None if _is_folder(dataset.connection, connections) else (dataset.connection, dataset.table)


def _is_folder(name: str, connections: Mapping[str, Connection]) -> bool:
    return isinstance(connections.get(name), FileConnection)
