"""An opened dataset: a lazy frame, and what is known about it before any row is read.

polars' errors name no dataset and no file. Code that collects a table's frame therefore does so inside
`explain_read_errors`, which names the dataset, file, line or column at fault. That costs a second read of the files,
but only after the first one failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.data.files.dataset_files import DatasetFiles
from engine.data.kept_rows import KeptState
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.drift.reading.blocks import count_frame_rows
from engine.errors import DataError
from engine.spec.resources.datasets import Column

if TYPE_CHECKING:
    from engine.data.spark.spark_rows import SparkRows
    from engine.drift.reading.alignment import Alignment


@dataclass(frozen=True, slots=True)
class Table:
    """An opened dataset.

    Each collect reads `frame` again; `rereadable` tells that this is cheap (Parquet, Arrow, a frame in memory).
    `fingerprint` is a BLAKE2b hex digest that depends on the content alone. `entity` may be inherited through a
    query. `columns` is the contract. `inputs` are the tables that a query reads, `files` the files of a file
    dataset. `facts` are what the fingerprint is made of, JSON-ready: a digest alone cannot tell what has changed.
    `notes` tell what was recognized or left out when the data were opened. `find_warnings` may read the first rows.
    `undisturbed` is the table before a drill has disturbed its rows; None for any other table. `kept` tells how the
    rows stand that `materialize` keeps, if it does; `frame` reads them if they are current. `place` says where the
    rows were read from, if that is a database or Spark. `spark` are the rows where they stay with Spark: each read
    of `frame` then asks the executors for what is wanted of them. `locate` adds to the message of an error where in the
    spec the query stands.
    """

    name: str
    frame: pl.LazyFrame
    fingerprint: str
    entity: str | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    inputs: tuple[Table, ...] = ()
    files: DatasetFiles | None = None
    rereadable: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    find_warnings: Callable[[], tuple[str, ...]] = tuple
    undisturbed: Table | None = None
    kept: KeptState | None = None
    place: str = ""
    spark: SparkRows | None = None
    locate: Callable[[str], str] = str

    @property
    def roles(self) -> dict[str, str]:
        """The declared role by column, for the columns that declare one."""
        return {name: column.role for name, column in self.columns.items() if column.role}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Which columns look like something else than their type says."""
        return self.find_warnings()

    def reading_notes(self) -> list[str]:
        """Return what must be told about how the data of the lineage are read, as sentences with the dataset's name.

        First what stays text although it looks like something else, then what was recognized or left out.
        """
        tables = self.lineage().items()
        warnings = [f"dataset {name!r}: {said}" for name, table in tables for said in table.warnings]
        return [*warnings, *(f"dataset {name!r}: {said}" for name, table in tables for said in table.notes)]

    def lineage(self) -> dict[str, Table]:
        """Return all tables that this one is made from and itself, by name; inputs first, itself last."""
        return {name: table for one in self.inputs for name, table in one.lineage().items()} | {self.name: self}

    def count_rows(self) -> int:
        """Return the number of rows."""
        return self.spark.count if self.spark else count_frame_rows(self.frame)

    def give_rows(self, alignment: Alignment) -> Any:
        """Return the aligned rows for drift: those of Spark as its DataFrame, unless a column is read as another type.

        Such rows are brought to that type here, piece by piece.
        """
        return self.spark.frame if self.spark and not alignment.expressions else alignment.frame

    def name_row(self, row: int) -> str:
        """Return how to find a row, counted from 1: `line 50 of new.csv`, or `row 49 of dataset 'joined'`."""
        before = 0
        with suppress(*READ_ERRORS):  # the row's number will do where a file cannot be read again
            for number, (_, frame) in enumerate(self.files.scan_each() if self.files else ()):
                rows = count_frame_rows(frame)
                if row <= before + rows and self.files:
                    return self.files.name_rows(self.files.paths[number], [row - before])[0]
                before += rows
        return f"row {row:,} of dataset {self.name!r}"

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return the fingerprint of each table of the lineage, and the facts that it is made of, by name."""
        return {name: {"fingerprint": table.fingerprint, **table.facts} for name, table in self.lineage().items()}


@contextmanager
def explain_read_errors(table: Table) -> Iterator[None]:
    """Translate polars' errors while `table.frame`, or a frame made from it, is collected.

    Raises
    ------
    DataError
        Names the dataset and, where they can be found, the file, line, column and value.
    """
    try:
        yield
    except READ_ERRORS as error:
        fault = find_read_fault([table])
        said = table.locate(f"dataset {table.name!r} cannot be read: {describe_error(error)}")
        raise DataError(fault or said) from error


def find_read_fault(tables: Iterable[Table]) -> str | None:
    """Return which file of the tables, or of those that they are made from, cannot be read, and why; None if all can.

    The fault may be in a file that a query reads through other datasets: inputs are searched first.
    """
    from engine.data.files.read_faults import find_file_fault

    for table in tables:
        for source in table.lineage().values():
            if source.files and (fault := find_file_fault(source.files)):
                return f"dataset {source.name!r}: {fault}"
    return None
