"""An opened dataset: a lazy frame, and the facts known before any row is read.

polars' errors name no dataset and no file. Code that collects a table's frame therefore does so inside
`explain_read_errors`, which names the faulty dataset, file, line or column. That costs a second read of the files, but
only after the first one failed.
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

    Each collect reads `frame` again; `rereadable` tells whether this is cheap (Parquet, Arrow, a frame in memory).
    `fingerprint` is a BLAKE2b hex digest that depends on the content alone. `entity` may be inherited through a query.
    `columns` is the contract. `inputs` are the tables that a query reads, `files` the files of a file dataset. `facts`
    are the inputs of the fingerprint, ready for JSON: a digest alone cannot show what has changed. `notes` say what was
    recognized or left out when the data were opened. `find_warnings` may read the first rows. `undisturbed` is the
    table before a drill disturbed its rows; None for any other table. `kept` is the state of the rows kept by
    `materialize`, if any; `frame` reads them if they are up to date. `place` is where the rows were read from, if that
    is a database or Spark. `spark` are the rows if they stay in Spark: each read of `frame` then requests the needed
    ones from the executors. `locate` adds the place of the query in the spec to the message of an error.
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
        """The columns that look like something else than their type."""
        return self.find_warnings()

    def reading_notes(self) -> list[str]:
        """Return notes on how the data of the lineage are read, as sentences with the dataset's name.

        First the columns that stay text although they look like something else, then what was recognized or left out.
        """
        tables = self.lineage().items()
        warnings = [f"dataset {name!r}: {said}" for name, table in tables for said in table.warnings]
        return [*warnings, *(f"dataset {name!r}: {said}" for name, table in tables for said in table.notes)]

    def lineage(self) -> dict[str, Table]:
        """Return this table and all tables from which it is made, by name; inputs first, itself last."""
        return {name: table for one in self.inputs for name, table in one.lineage().items()} | {self.name: self}

    def count_rows(self) -> int:
        """Return the number of rows."""
        return self.spark.count if self.spark else count_frame_rows(self.frame)

    def give_rows(self, alignment: Alignment) -> Any:
        """Return the aligned rows for drift: rows in Spark as a DataFrame, unless a column must be converted.

        Then they are read and converted in this process, block by block.
        """
        return self.spark.frame if self.spark and not alignment.expressions else alignment.frame

    def name_row(self, row: int) -> str:
        """Return the place of a row, counted from 1: `line 50 of new.csv`, or `row 49 of dataset 'joined'`."""
        before = 0
        with suppress(*READ_ERRORS):  # the row's number suffices if a file cannot be read again
            for number, (_, frame) in enumerate(self.files.scan_each() if self.files else ()):
                rows = count_frame_rows(frame)
                if row <= before + rows and self.files:
                    return self.files.name_rows(self.files.paths[number], [row - before])[0]
                before += rows
        return f"row {row:,} of dataset {self.name!r}"

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return the fingerprint of each table of the lineage, and its facts, by name."""
        return {name: {"fingerprint": table.fingerprint, **table.facts} for name, table in self.lineage().items()}


@contextmanager
def explain_read_errors(table: Table) -> Iterator[None]:
    """Translate polars' errors while `table.frame`, or a frame made from it, is collected.

    Raises
    ------
    DataError
        Names the dataset and, if they can be found, the file, line, column and value.
    """
    try:
        yield
    except READ_ERRORS as error:
        fault = find_read_fault([table])
        said = table.locate(f"dataset {table.name!r} cannot be read: {describe_error(error)}")
        raise DataError(fault or said) from error


def find_read_fault(tables: Iterable[Table]) -> str | None:
    """Return which file of the tables, or of their inputs, cannot be read, and why; None if all can.

    The fault may be in a file that a query reads through other datasets: inputs are searched first.
    """
    from engine.data.files.read_faults import find_file_fault

    for table in tables:
        for source in table.lineage().values():
            if source.files and (fault := find_file_fault(source.files)):
                return f"dataset {source.name!r}: {fault}"
    return None
