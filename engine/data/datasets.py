"""The datasets of a project, opened by name.

A run has one `Datasets` object. It caches what the functions of `python` datasets returned (so that a function is
called once for all tables made from it and for all iterations of a loop), how unchanged files are read, and the tables
themselves, so that their schemas are read once. The cache ends with the object: the next run calls the functions again.
"""

import json
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import polars as pl

from engine.data import queries
from engine.data.databases.query_connections import find_query_connection
from engine.data.databases.stored_rows import StoredRows
from engine.data.dataset_tables import (
    check_columns,
    describe_database_rows,
    describe_files,
    describe_function_rows,
    describe_kept_rows,
    describe_pushed_query,
    describe_query,
    prefix_dataset_name,
)
from engine.data.files.dataset_files import DatasetFiles
from engine.data.files.hashes import FileHashes, hash_file
from engine.data.files.sources import FileSources
from engine.data.files.watched_files import WatchedFiles
from engine.data.fingerprints import check_hashable, hash_frame
from engine.data.kept_rows import KeptPlace, KeptRowsRecords, KeptState, NoRecords, examine_kept_rows
from engine.data.output.kept_files import KeptFile
from engine.data.table import Table, explain_read_errors
from engine.data.user_code.functions import call_frame_function, find_module_file, translate_user_code_errors
from engine.digests import digest_json, digest_texts
from engine.drift.reading.hash_version import HASH_VERSION
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.spec import ProjectSpec, sql
from engine.spec.code_folder import CodeFolder
from engine.spec.dataset_inputs import list_own_inputs
from engine.spec.resources.connections import COLLECT_ROWS
from engine.spec.resources.datasets import AnyDataset, PythonDataset, QueryDataset, StoredDataset
from engine.spec.secrets.values import Secrets
from engine.spec.stored_data import DatabaseTable

if TYPE_CHECKING:
    from engine.connections.object_copies import ObjectCopies
    from engine.data.database_rows import DatabaseRows
    from engine.data.spark.reading import SparkData
    from engine.spec.disturbances import Drill


class Datasets:
    """The datasets of a project with its current variables.

    Parameters
    ----------
    project
        The project with its variables resolved; `with_project` switches to other variables.
    hashes
        Cache of the digests of files.
    scratch
        Returns a new folder that exists as long as this object, for the rows of a function that returns a lazy frame,
        and for those of a database table.
    secrets
        The secrets for the project's connections; by default created from the environment.
    records
        The records of rows that `materialize` wrote before; none by default.
    objects
        The folder for copies of objects of stores; by default in `scratch`.

    Attributes
    ----------
    files
        The opened files, in the state in which they were hashed.
    drill
        The disturbances of the rows of some datasets, and so of the queries that read them.
    """

    def __init__(
        self,
        project: ProjectSpec,
        hashes: FileHashes,
        scratch: Callable[[], Path],
        secrets: Secrets | None = None,
        records: KeptRowsRecords | None = None,
        objects: Path | None = None,
    ) -> None:
        self.project = project
        self._secrets = secrets or Secrets(project)
        self._sources = FileSources(self._secrets, scratch, objects)
        self._stored_rows = StoredRows(self._secrets, scratch)
        self._records = records or NoRecords()
        self._computed_again: set[str] = set()
        self._scratch = scratch
        self.files = WatchedFiles(hashes)
        self._function_results: dict[tuple[str, ...], tuple[pl.DataFrame | pl.LazyFrame, str] | SparkData] = {}
        self._opened: dict[str, Table] | None = None
        self._tables: dict[tuple[object, ...], Table] = {}
        self._disturbed: dict[tuple[object, ...], Table] = {}
        self.drill: Drill | None = None

    def with_project(self, project: ProjectSpec) -> Self:
        """Return the datasets of the same project with other variables; both objects share one cache."""
        other = copy(self)
        other.project = project
        other._opened = None if self._opened is None else {}
        return other

    def with_files(self, files: WatchedFiles) -> Self:
        """Return the same datasets with another record of the opened files; each file is then opened once."""
        other = copy(self)
        other.files = files
        other._opened = {}
        return other

    def with_drill(self, drill: "Drill | None") -> Self:
        """Return the same datasets with a drill that disturbs the rows of some; None for no drill."""
        if drill == self.drill:
            return self
        other = copy(self)
        other.drill = drill
        other._opened = None if self._opened is None else {}
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

    def compute_again(self, name: str) -> None:
        """Compute the rows of a dataset from now on, even if they are kept, until they are written."""
        self._computed_again.add(name)
        self._forget_opened()

    def note_written_rows(self, name: str) -> None:
        """Open all datasets again from now on, because the kept rows of a dataset were written."""
        self._computed_again.discard(name)
        self._forget_opened()

    def _forget_opened(self) -> None:
        if self._opened is not None:
            self._opened.clear()

    def _open_with_inputs(self, name: str, opened: dict[str, Table]) -> Table:
        if name in opened:
            return opened[name]
        dataset = self.project.datasets.get(name)
        if dataset is None:
            raise DataError(f"there is no dataset {name!r}{suggest_name(name, list(self.project.datasets))}")
        # `opened` holds each table once, however many queries read it; the spec's rules exclude cycles.
        made_from = list_own_inputs(name, self.project.resources)
        with prefix_dataset_name(name):
            pushed = self._read_pushed_query(dataset, made_from)
        inputs = () if pushed else tuple(self._open_with_inputs(one, opened) for one in made_from)
        with prefix_dataset_name(name):
            if pushed and isinstance(dataset, QueryDataset):
                made_of: tuple[object, ...] = (id(pushed),)
                build: Callable[[], Table] = partial(
                    describe_pushed_query, name, dataset, made_from, pushed, self.project
                )
            else:
                made_of, build = self._prepare_table(name, dataset, inputs)
            key = (name, repr(dataset), *made_of)
            table = self._tables.get(key) or build()
        if key not in self._tables:
            check_columns(name, table)
            self._tables[key] = table
        if self.drill is not None and name in self.drill.datasets:
            table = self._open_disturbed(table)
        opened[name] = table
        return table

    def _open_disturbed(self, table: Table) -> Table:
        key = (id(table), self.drill)
        if key not in self._disturbed:
            disturbed = self.disturb_table(table)
            check_columns(table.name, disturbed)
            self._disturbed[key] = disturbed
        return self._disturbed[key]

    def disturb_table(self, table: Table) -> Table:
        """Return the table with disturbed rows, which are written to a separate file.

        Held-out rows of a model lack the columns that are not features; disturbances of these are skipped.

        Raises
        ------
        DataError
            The table cannot be read, or holds Python objects.
        """
        if self.drill is None:
            return table
        from engine.data.disturbances import disturb_rows

        with explain_read_errors(table):
            # two reads of a query may give its rows in different orders; two reads of a file cannot
            rows = table.frame if table.rereadable else self._copy_rows(table.frame)
            schema = rows.collect_schema()
            check_hashable(schema)
            made = [one for one in self.drill.disturbances if one.kind == "rows" or one.column in schema]
            frame = self._copy_rows(disturb_rows(rows, made))
        terms = [repr(one) for one in self.drill.disturbances]
        return replace(
            table,
            frame=frame,
            fingerprint=digest_json(["drill", table.fingerprint, terms]),
            files=None,
            rereadable=True,
            spark=None,
            facts={**table.facts, "drill": [one.option for one in self.drill.disturbances]},
            undisturbed=table,
        )

    def _prepare_table(
        self, name: str, dataset: AnyDataset, inputs: tuple[Table, ...]
    ) -> tuple[tuple[object, ...], Callable[[], Table]]:
        """Return what a table depends on besides its declaration, and the function that builds it.

        Equal dependencies give the same table, whose schema is known: files are hashed or looked up each time, so that
        a file that changes between two steps gives another table. Objects are identified by their ids, and the table or
        this object keeps them alive.
        """
        if isinstance(dataset, StoredDataset) and inputs:
            return (id(inputs[0]),), lambda: describe_kept_rows(name, dataset, inputs[0])
        if declared := self.project.find_file_dataset(name):
            root, files = self._sources.find_files(self.project, name, declared, self.files)
            digests = files.hash_each(self.files)
            frozen = self.project.revision.frozen if self.project.revision else {}
            made_of = (root, id(files), *digests.values())
            return made_of, lambda: describe_files(name, declared, files, digests, root, frozen)
        if isinstance(dataset, QueryDataset):
            values = self.project.names
            query = queries.bind_query(dataset.sql, values)
            fingerprint = queries.fingerprint_query(query, inputs)
            kept = self._examine_kept_rows(name, fingerprint)
            if kept is not None and kept.current:
                frame, kept_files = self._open_kept_rows(kept)
                return (*kept.key, *map(id, inputs)), lambda: describe_query(
                    name, dataset, frame, fingerprint, inputs, values, kept, kept_files
                )
            used = {one: values[one] for one in sorted(sql.list_sql_variables(dataset.sql))}
            made_of = (repr(used), *map(id, inputs), kept and kept.key)
            locate = partial(queries.locate_query_error, name=name, project=self.project)
            return made_of, lambda: describe_query(
                name,
                dataset,
                queries.plan_query(query, inputs, locate),
                fingerprint,
                inputs,
                values,
                kept,
                locate=locate,
            )
        if isinstance(dataset, StoredDataset) and (place := self.project.find_spark_data(name)):
            from engine.data.spark.reading import describe_spark_data

            held = self._stored_rows.open_spark_data(self.project, name, place)
            facts = {"connection": place.connection, place.key: place.name, "rows": held.rows.count}
            return (id(held),), lambda: describe_spark_data(name, dataset, held, facts)
        if isinstance(dataset, StoredDataset):
            table = self.project.find_table(name)
            assert table is not None  # noqa: S101 - the rules exclude a dataset with neither files nor a table
            rows = self._stored_rows.read_table(self.project, table)
            return (id(rows),), lambda: describe_database_rows(name, dataset, rows)
        assert isinstance(dataset, PythonDataset)  # noqa: S101 - the only remaining kind
        return self._prepare_function_table(name, dataset)

    def find_copies(self, connection: str | None) -> "ObjectCopies | None":
        """Return the objects of a connection with their copies; None if it is not an object store."""
        return self._sources.find_copies(self.project, connection)

    def name_object(self, path: Path) -> str:
        """Return the object of which a file is a copy, for messages; an empty text for any other file."""
        return self._sources.name_object(path)

    def _prepare_function_table(
        self, name: str, dataset: PythonDataset
    ) -> tuple[tuple[object, ...], Callable[[], Table]]:
        folder = self.project.folder_of("datasets", name).absolute()
        module = find_module_file(folder, dataset.function.partition(":")[0])
        source = hash_file(module, self.files)
        key = str(folder), dataset.function, source, json.dumps(dataset.arguments, sort_keys=True, default=str)
        facts = {
            "function": dataset.function,
            "arguments": dataset.arguments,
            "code": {module.name: source},
            "versions": {"row hash": HASH_VERSION},
        }
        kept = self._examine_kept_rows(name, digest_texts(*key[1:], HASH_VERSION))
        if kept is not None and kept.current and kept.record is not None:
            fingerprint = kept.record.fingerprint
            rows, files = self._open_kept_rows(kept)
            return kept.key, lambda: describe_function_rows(name, dataset, rows, fingerprint, facts, kept, files)
        if key not in self._function_results:
            self._function_results[key] = self._call_function(self.project.code_of("datasets", name), dataset)
            hash_file(module, self.files)  # raises if the module was changed after it was hashed
        returned = self._function_results[key]
        made_of = (id(returned), kept and kept.key)
        if not isinstance(returned, tuple):
            from engine.data.spark.reading import describe_spark_data

            return made_of, lambda: describe_spark_data(name, dataset, returned, facts, kept)
        return made_of, lambda: describe_function_rows(name, dataset, *returned, facts, kept)

    def _call_function(
        self, code: CodeFolder, dataset: PythonDataset
    ) -> "tuple[pl.DataFrame | pl.LazyFrame, str] | SparkData":
        """Return the function's frame, and the frame's fingerprint."""
        frame = call_frame_function(code, dataset.function, dataset.arguments)
        if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
            from engine.data.spark.reading import hold_spark_data
            from engine.data.spark.spark_rows import hold_spark_rows

            rows = hold_spark_rows(frame, f"what {dataset.function} returned")
            return hold_spark_data(rows, COLLECT_ROWS, self._scratch)
        with translate_user_code_errors(code.path.absolute(), f"reading what {dataset.function} returned"):
            frame = self._copy_rows(frame) if isinstance(frame, pl.LazyFrame) else frame
            return frame, hash_frame(frame)

    def _examine_kept_rows(self, name: str, made_of: str) -> KeptState | None:
        """Return the state of a dataset's kept rows; None if none are kept."""
        place = self.project.find_kept_place(name)
        if place is None:
            return None
        kept: KeptPlace
        if place.key == "path":
            named = (place.name, self.project.name, self.files.hashes)
            if copies := self.find_copies(place.connection):
                from engine.data.output.kept_objects import KeptObject

                kept = KeptObject(copies.root, *named, copies)
            else:
                root = self.project.root_of("datasets", name, place.connection)
                self.project.check_path(root / place.name, writes=True)
                kept = KeptFile(root, *named)
        else:
            from engine.data.databases.kept_tables import KeptTable

            table = (place.connection, place.name)
            kept = KeptTable(
                self.project,
                self._secrets,
                *table,
                scratch=self._scratch,
                read=partial(self._stored_rows.read_table, self.project, table),
                remember=partial(self._remember_rows, table),
            )
        forced = name in self._computed_again
        return examine_kept_rows(name, kept, made_of, self._records, forced=forced)

    def _open_kept_rows(self, kept: KeptState) -> tuple[pl.LazyFrame, DatasetFiles | None]:
        frame, files = kept.place.read_rows()
        if files is not None:
            files.hash_each(self.files)  # watch them from now on
        return frame, files

    def _read_pushed_query(self, dataset: AnyDataset, inputs: Sequence[str]) -> "DatabaseRows | None":
        """Return the rows of a query run by the database of its tables; None if it is computed in this process."""
        disturbed = self.drill.datasets if self.drill is not None else ()
        if not isinstance(dataset, QueryDataset) or dataset.materialize or not set(inputs).isdisjoint(disturbed):
            return None
        connection = find_query_connection(self.project, inputs)
        if connection is None or any(list_own_inputs(one, self.project.resources) for one in inputs):
            return None
        query = queries.bind_query(dataset.sql, self.project.names)
        return self._stored_rows.read_query(self.project, connection, query, inputs)

    def forget_tables(self) -> None:
        """Read database tables again when they are opened next, because they may have been written."""
        if self._stored_rows.forget():
            self._forget_made()
        self._forget_opened()

    def _forget_made(self) -> None:
        """Forget results of rows that no longer exist: they are identified by ids, which other rows may get now."""
        self._tables.clear()
        self._disturbed.clear()
        self._forget_opened()

    def _remember_rows(self, table: DatabaseTable, rows: "DatabaseRows") -> None:
        """Use these rows for a table to which they were written."""
        self._stored_rows.replace_table(self.project, table, rows)
        self._forget_made()

    def _copy_rows(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Write the rows of a lazy frame to a file, because its sources are unknown and may change."""
        check_hashable(frame.collect_schema())
        path = self._scratch() / "rows.arrow"
        frame.sink_ipc(path, compression="lz4", engine="streaming")
        return pl.scan_ipc(path, glob=False)
