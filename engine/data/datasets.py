"""A project's datasets, opened by name.

One object a run: it remembers what functions have returned, so that a function is called once for all tables made from
it and all turns of a loop. Nothing is kept in globals: a new run looks anew.
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
    """The datasets of a project under its variables.

    Parameters
    ----------
    project
        Resolved; `of` gives the same data under another.
    hashes
        Remembers the digests of files.
    """

    def __init__(self, project: Project, hashes: FileHashes) -> None:
        self.project = project
        self._hashes = hashes
        self._returned: dict[tuple[str, ...], tuple[pl.DataFrame | pl.LazyFrame, str]] = {}

    def of(self, project: Project) -> Self:
        """Return the datasets of the same project under other variables, with what is already known."""
        other = type(self)(project, self._hashes)
        other._returned = self._returned
        return other

    def open(self, name: str) -> Table:
        """Open a dataset and all that it is made from; nothing but schemas and fingerprints is read.

        Raises
        ------
        DataError
            It cannot be found or read, or its columns are not those of its contract.
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
            inputs = tuple(self._open(one, opened) for one in sorted(sql.tables(dataset.sql)))
        with _naming(name):
            table = self._read(name, dataset, inputs)
        with reading(table):
            schema = table.frame.collect_schema()
        with _naming(name):
            check_schema(schema, dataset.columns)
            if table.entity is not None and table.entity not in schema:
                raise DataError(f"there is no column {table.entity!r}, its entity{meant(table.entity, list(schema))}")
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
            asked = {one: self.project.variables[one] for one in sorted(sql.variables(dataset.sql))}
            facts = {"sql": sql.outline(dataset.sql), "variables": {one: _plain(asked[one]) for one in asked}}
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
        if dataset.connection is None:
            return self.project.folder_of("datasets", name)
        connection = self.project.connections[dataset.connection]
        return self.project.folder_of("connections", dataset.connection) / connection.root

    def _call(self, name: str, dataset: PythonDataset) -> tuple[pl.DataFrame | pl.LazyFrame, str, dict[str, str]]:
        """Return what the function returns, its fingerprint, and that of the function's file by its name."""
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
    return value.isoformat() if isinstance(value, date) else value


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say which dataset an error is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"dataset {name!r}: {error}") from error.__cause__


def open_table(project: Project, name: str, *, hashes: FileHashes) -> Table:
    """Open one dataset; where several are opened, let one `Datasets` share what they have in common."""
    return Datasets(project, hashes).open(name)
