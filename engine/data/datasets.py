"""The datasets of a project, opened by name.

A run has one `Datasets` object. It caches what the functions of `python` datasets returned, so that a function is
called once for all tables made from it and for all iterations of a loop, and how unchanged files are read. The cache
ends with the object: the next run calls the functions again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import date
from pathlib import Path
from typing import Self

import polars as pl

from engine.data import queries
from engine.data.contract import check_schema
from engine.data.files import FoundBefore, find_files
from engine.data.fingerprints import FileHashes, check_hashable, hash_file, hash_frame
from engine.data.table import Table, explain_read_errors
from engine.data.text_columns import find_doubtful_columns, sample_columns
from engine.data.user_functions import call_frame_function, find_module_file, translate_user_code_errors
from engine.data.watched_files import WatchedFiles
from engine.drift.reading.column_families import read_storage
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.spec import ProjectSpec, sql
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
    scratch
        Gives a new folder that lasts as long as this object, for the rows of a function that returns a lazy frame.

    Attributes
    ----------
    files
        The files that were opened, in the state in which they were hashed.
    """

    def __init__(self, project: ProjectSpec, hashes: FileHashes, scratch: Callable[[], Path]) -> None:
        self.project = project
        self._scratch = scratch
        self.files = WatchedFiles(hashes)
        self._function_results: dict[tuple[str, ...], tuple[pl.DataFrame | pl.LazyFrame, str]] = {}
        self._found_files: FoundBefore = {}
        self._opened: dict[str, Table] | None = None

    def with_project(self, project: ProjectSpec) -> Self:
        """Return the datasets of the same project with other variables; both objects share one cache."""
        other = copy(self)
        other.project = project
        other._opened = None if self._opened is None else {}
        return other

    def with_files(self, files: WatchedFiles) -> Self:
        """Return the same datasets with another record of the files that are opened; each is then opened once."""
        other = copy(self)
        other.files = files
        other._opened = {}
        return other

    def open(self, name: str) -> Table:
        """Open a dataset and its inputs, and check its schema against its contract.

        Rows are read only as far as schemas and fingerprints need them.

        Raises
        ------
        DataError
            The dataset does not exist or cannot be read, or its columns do not match its contract.
        """
        return self._open_with_inputs(name, {} if self._opened is None else self._opened)

    def _open_with_inputs(self, name: str, opened: dict[str, Table]) -> Table:
        if name in opened:
            return opened[name]
        dataset = self.project.datasets.get(name)
        if dataset is None:
            raise DataError(f"there is no dataset {name!r}{suggest_name(name, list(self.project.datasets))}")
        inputs: tuple[Table, ...] = ()
        if isinstance(dataset, QueryDataset):
            # `opened` holds each table once, however many queries read it; the spec's rules have refused cycles.
            inputs = tuple(self._open_with_inputs(one, opened) for one in sorted(sql.list_tables(dataset.sql)))
        with _prefix_dataset_name(name):
            table = self._build_table(name, dataset, inputs)
        with explain_read_errors(table):
            schema = table.frame.collect_schema()
        with _prefix_dataset_name(name):
            check_schema(schema, dataset.columns)
            if table.entity is not None and table.entity not in schema:
                hint = suggest_name(table.entity, list(schema))
                raise DataError(f"there is no column {table.entity!r}, which the dataset declares as entity{hint}")
        opened[name] = table
        return table

    def _build_table(self, name: str, dataset: AnyDataset, inputs: tuple[Table, ...]) -> Table:
        entity, columns = dataset.entity, dataset.columns
        if isinstance(dataset, FileDataset):
            root = self.project.root_of("datasets", name, dataset.connection)
            files = find_files(
                dataset, root, self._found_files, lambda path: self.files.watch(path, f"dataset {name!r}")
            )
            fingerprint, facts = files.compute_fingerprint(self.files, root)
            frame, cheap = files.scan_all(), files.rereadable
            return Table(
                name,
                frame,
                fingerprint,
                entity,
                columns,
                files=files,
                rereadable=cheap,
                facts=facts,
                notes=files.notes,
                warnings=files.warnings,
            )
        if isinstance(dataset, QueryDataset):
            query = sql.bind_variables(dataset.sql, self.project.variables)
            frame = queries.plan_query(query, inputs)
            entity = entity or queries.inherit_entity(frame, inputs)
            used = {one: self.project.variables[one] for one in sorted(sql.list_sql_variables(dataset.sql))}
            facts = {"sql": sql.outline_sql(dataset.sql), "variables": {one: _date_to_text(used[one]) for one in used}}
            return Table(name, frame, queries.fingerprint_query(query, inputs), entity, columns, inputs, facts=facts)
        returned, fingerprint, source = self._call_function(name, dataset)
        facts = {
            "function": dataset.function,
            "arguments": dataset.arguments,
            "code": source,
            "versions": {"polars": pl.__version__},
        }
        frame = read_storage(returned.lazy())
        doubtful = find_doubtful_columns(sample_columns([frame]), columns)
        said = tuple(doubtful.values())
        return Table(name, frame, fingerprint, entity, columns, rereadable=True, facts=facts, warnings=said)

    def _call_function(
        self, name: str, dataset: PythonDataset
    ) -> tuple[pl.DataFrame | pl.LazyFrame, str, dict[str, str]]:
        """Return the function's frame, the frame's fingerprint, and the digest of the function's file by file name."""
        folder = self.project.folder_of("datasets", name).absolute()
        module = find_module_file(folder, dataset.function.partition(":")[0])
        source = hash_file(module, self.files)
        key = str(folder), dataset.function, source, json.dumps(dataset.arguments, sort_keys=True, default=str)
        if key not in self._function_results:
            frame = call_frame_function(folder, dataset.function, dataset.arguments)
            with translate_user_code_errors(folder, f"reading what {dataset.function} returned"):
                frame = self._copy_rows(frame) if isinstance(frame, pl.LazyFrame) else frame
                result = frame, hash_frame(frame)
            hash_file(module, self.files)  # raises unless the function is that of the source that was hashed
            self._function_results[key] = result
        return *self._function_results[key], {module.name: source}

    def _copy_rows(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Write the rows of a lazy frame to a file: what it reads may change, and nobody else knows what that is."""
        check_hashable(frame.collect_schema())
        path = self._scratch() / "rows.arrow"
        frame.sink_ipc(path, compression="lz4", engine="streaming")
        return pl.scan_ipc(path, glob=False)


def _date_to_text(value: Scalar | date) -> Scalar:
    """Return a variable's value as JSON can hold it: a date as ISO text."""
    return value.isoformat() if isinstance(value, date) else value


@contextmanager
def _prefix_dataset_name(name: str) -> Iterator[None]:
    """Put the name of the dataset before the message of a DataError, whose class remains."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"dataset {name!r}: {error}") from error.__cause__
