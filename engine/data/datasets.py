"""The datasets of a project, opened by name.

A run has one `Datasets` object. It caches what the functions of `python` datasets returned, so that a function is
called once for all tables made from it and for all iterations of a loop. The cache ends with the object: the next run
calls the functions again.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Self

import polars as pl

from engine.data import queries
from engine.data.contract import check_schema
from engine.data.files import find_files
from engine.data.fingerprints import FileHashes, of_file, of_frame
from engine.data.functions import blaming, frame_of, module_file
from engine.data.table import Table, reading
from engine.data.wording import meant
from engine.errors import DataError
from engine.spec import Project, sql
from engine.spec.resources.datasets import AnyDataset, FileDataset, PythonDataset, QueryDataset
from engine.spec.resources.resource import Scalar


class Datasets:
    """The datasets of a project with its present variables.

    Parameters
    ----------
    project
        The project with its variables resolved; `with_project` switches to other variables.
    hashes
        Cache of the digests of files.
    """

    def __init__(self, project: Project, hashes: FileHashes) -> None:
        self.project = project
        self._hashes = hashes
        self._returned: dict[tuple[str, ...], tuple[pl.DataFrame | pl.LazyFrame, str]] = {}

    def of(self, project: Project) -> Self:
        """Return the datasets of the same project with other variables; both objects share one cache."""
        other = type(self)(project, self._hashes)
        other._returned = self._returned
        return other

    def open(self, name: str) -> Table:
        """Open a dataset and its inputs, and check its schema against its contract.

        Rows are read only as far as schemas and fingerprints need them.

        Raises
        ------
        DataError
            The dataset does not exist or cannot be read, or its columns do not match its contract.
        """
        return self._open(name, {})

    def _open(self, name: str, opened: dict[str, Table]) -> Table:
        if name in opened:
            return opened[name]
        dataset = self.project.datasets.get(name)
        if dataset is None:
            raise DataError(f"there is no dataset {name!r}{meant(name, list(self.project.datasets))}")
        inputs: tuple[Table, ...] = ()
        if isinstance(dataset, QueryDataset):
            # `opened` holds each table once, however many queries read it; the spec's rules have refused cycles.
            inputs = tuple(self._open(one, opened) for one in sorted(sql.tables(dataset.sql)))
        with _naming(name):
            table = self._read(name, dataset, inputs)
        with reading(table):
            schema = table.frame.collect_schema()
        with _naming(name):
            check_schema(schema, dataset.columns)
            if table.entity is not None and table.entity not in schema:
                hint = meant(table.entity, list(schema))
                raise DataError(f"there is no column {table.entity!r}, which the dataset declares as entity{hint}")
        opened[name] = table
        return table

    def _read(self, name: str, dataset: AnyDataset, inputs: tuple[Table, ...]) -> Table:
        entity, columns = dataset.entity, dataset.columns
        if isinstance(dataset, FileDataset):
            root = self._root(name, dataset)
            files = find_files(dataset, root)
            fingerprint, facts = files.identify(self._hashes, root)
            cheap = files.format in ("parquet", "arrow")
            return Table(name, files.frame(), fingerprint, entity, columns, files=files, rereadable=cheap, facts=facts)
        if isinstance(dataset, QueryDataset):
            query = sql.bind(dataset.sql, self.project.variables)
            frame = queries.plan(query, inputs)
            entity = entity or queries.entity(frame, inputs)
            used = {one: self.project.variables[one] for one in sorted(sql.variables(dataset.sql))}
            facts = {"sql": sql.outline(dataset.sql), "variables": {one: _plain(used[one]) for one in used}}
            return Table(name, frame, queries.fingerprint(query, inputs), entity, columns, inputs, facts=facts)
        returned, fingerprint, source = self._call(name, dataset)
        facts = {
            "function": dataset.function,
            "arguments": dataset.arguments,
            "code": source,
            "versions": {"polars": pl.__version__},
        }
        cheap = isinstance(returned, pl.DataFrame)
        return Table(name, returned.lazy(), fingerprint, entity, columns, rereadable=cheap, facts=facts)

    def _root(self, name: str, dataset: FileDataset) -> Path:
        """Return the folder that a file dataset's path starts from: its connection's, else that of the spec."""
        if dataset.connection is None:
            return self.project.folder_of("datasets", name)
        connection = self.project.connections[dataset.connection]
        return self.project.folder_of("connections", dataset.connection) / connection.root

    def _call(self, name: str, dataset: PythonDataset) -> tuple[pl.DataFrame | pl.LazyFrame, str, dict[str, str]]:
        """Return the function's frame, the frame's fingerprint, and the digest of the function's file by file name."""
        folder = self.project.folder_of("datasets", name).absolute()
        module = module_file(folder, dataset.function.partition(":")[0])
        source = of_file(module, self._hashes)
        key = str(folder), dataset.function, source, json.dumps(dataset.arguments, sort_keys=True, default=str)
        if key not in self._returned:
            frame = frame_of(folder, dataset.function, dataset.arguments)
            with blaming(folder, f"reading what {dataset.function} returned"):
                self._returned[key] = frame, of_frame(frame)
        return *self._returned[key], {module.name: source}


def _plain(value: Scalar | date) -> Scalar:
    """Return a variable's value as JSON can hold it: a date as ISO text."""
    return value.isoformat() if isinstance(value, date) else value


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put the name of the dataset before the message of a DataError."""
    try:
        yield
    except DataError as error:
        raise DataError(f"dataset {name!r}: {error}") from error.__cause__
