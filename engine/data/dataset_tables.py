"""The table of each kind of dataset: its rows, with the facts from the declaration and the source."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.data import queries
from engine.data.contract import check_schema
from engine.data.files.dataset_files import DatasetFiles
from engine.data.kept_rows import KeptState
from engine.data.table import Table, explain_read_errors
from engine.drift.reading.column_families import read_storage
from engine.drift.reading.hash_version import HASH_VERSION
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.spec import ProjectSpec, sql
from engine.spec.resources.datasets import Dataset, FileDataset, PythonDataset, QueryDataset, StoredDataset
from engine.spec.variables.references import Value

if TYPE_CHECKING:
    from engine.data.database_rows import DatabaseRows


def describe_files(
    name: str,
    dataset: FileDataset,
    files: DatasetFiles,
    digests: Mapping[Path, str],
    root: Path,
    frozen: Mapping[str, str],
) -> Table:
    """Return the table of files; rows that a bundle has frozen into a file keep their earlier fingerprint."""
    fingerprint, facts = files.compute_fingerprint(digests, root)
    if len(digests) == 1:
        fingerprint = frozen.get(next(iter(digests.values())), fingerprint)
    return Table(
        name,
        files.scan_all(),
        fingerprint,
        dataset.entity,
        dataset.columns,
        files=files,
        rereadable=files.rereadable,
        facts=facts,
        notes=files.notes,
        find_warnings=lambda: files.warnings,
    )


def describe_database_rows(name: str, dataset: StoredDataset, rows: "DatabaseRows") -> Table:
    """Return the table of rows that were read from a database."""
    from engine.data.files.file_datasets import read_declared_texts

    files = read_declared_texts(rows.path, dataset)
    return Table(
        name,
        files.scan_all().drop(rows.hidden),
        rows.fingerprint,
        dataset.entity,
        dataset.columns,
        rereadable=True,
        facts={
            "connection": dataset.connection,
            "table": dataset.table,
            "rows": rows.count,
            "versions": {"row hash": HASH_VERSION},
        },
        notes=rows.notes,
        find_warnings=lambda: files.warnings,
        place=f"table {dataset.table} of connection {dataset.connection}",
    )


def describe_function_rows(
    name: str,
    dataset: PythonDataset,
    returned: pl.DataFrame | pl.LazyFrame,
    fingerprint: str,
    facts: Mapping[str, Any],
    kept: KeptState | None,
    files: DatasetFiles | None = None,
) -> Table:
    """Return the table of a function's rows, returned now or kept from an earlier call."""
    frame = read_storage(returned.lazy())
    return Table(
        name,
        frame,
        fingerprint,
        dataset.entity,
        dataset.columns,
        files=files,
        rereadable=True,
        facts=facts,
        find_warnings=warn_of_columns(frame, dataset),
        kept=kept,
    )


def describe_kept_rows(name: str, dataset: StoredDataset, written: Table) -> Table:
    """Return the table of a stored dataset that reads another's kept rows: the same rows, so the same fingerprint."""
    return Table(
        name,
        written.frame,
        written.fingerprint,
        dataset.entity or written.entity,
        dataset.columns,
        (written,),
        rereadable=written.rereadable,
        facts={"rows_of": written.name},
    )


def describe_query(
    name: str,
    dataset: QueryDataset,
    frame: pl.LazyFrame,
    fingerprint: str,
    inputs: tuple[Table, ...],
    values: Mapping[str, Value],
    kept: KeptState | None,
    files: DatasetFiles | None = None,
    locate: Callable[[str], str] = str,
) -> Table:
    """Return the table of a query computed here, or of its kept rows; `values` are those of all variables in scope."""
    return Table(
        name,
        frame,
        fingerprint,
        dataset.entity or queries.inherit_entity(frame, inputs),
        dataset.columns,
        inputs,
        files,
        rereadable=kept is not None and kept.current,
        facts=_describe_sql(dataset, values),
        kept=kept,
        locate=locate,
    )


def describe_pushed_query(
    name: str, dataset: QueryDataset, inputs: Sequence[str], rows: "DatabaseRows", project: ProjectSpec
) -> Table:
    """Return the table of a query whose rows its database computed."""
    frame = pl.scan_parquet(rows.path, glob=False).drop(rows.hidden)
    tables = [table for one in inputs if (table := project.find_table(one))]
    entities = {one.entity for one in map(project.datasets.__getitem__, inputs) if one.entity is not None}
    inherited = entities.pop() if len(entities) == 1 and entities <= set(frame.collect_schema()) else None
    return Table(
        name,
        frame,
        rows.fingerprint,
        dataset.entity or inherited,
        dataset.columns,
        rereadable=True,
        facts=_describe_sql(dataset, project.names),
        notes=rows.notes,
        find_warnings=warn_of_columns(frame, dataset),
        place=f"its SQL runs in connection {tables[0][0]}, on {', '.join(f'table {table}' for _, table in tables)}",
    )


def warn_of_columns(frame: pl.LazyFrame, dataset: Dataset) -> Callable[[], tuple[str, ...]]:
    """Return a function that finds, once and on demand, the columns that look like something else than they are.

    Rows that were read before are not read again for warnings that nobody sees.
    """

    @cache
    def find_warnings() -> tuple[str, ...]:
        from engine.data.files.text_columns import find_doubtful_columns, sample_columns

        return tuple(find_doubtful_columns(sample_columns([frame]), dataset.columns).values())

    return find_warnings


def _describe_sql(dataset: QueryDataset, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the SQL of a query and the values of its variables; a date as ISO text, for JSON."""
    used = {one: values[one] for one in sorted(sql.list_sql_variables(dataset.sql))}
    variables = {one: value.isoformat() if isinstance(value, date) else value for one, value in used.items()}
    return {"sql": sql.outline_sql(dataset.sql), "variables": variables}


def check_columns(name: str, table: Table) -> None:
    """Raise a DataError if a table cannot be read, or lacks a column of its contract or its entity column."""
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
    with prefix_dataset_name(name):
        check_schema(schema, table.columns)
        if table.entity is not None and table.entity not in schema:
            hint = suggest_name(table.entity, list(schema))
            raise DataError(f"there is no column {table.entity!r}, which the dataset declares as entity{hint}")


@contextmanager
def prefix_dataset_name(name: str) -> Iterator[None]:
    """Prefix the message of a DataError with the name of the dataset; its class is kept."""
    try:
        yield
    except DataError as error:
        raise type(error)(f"dataset {name!r}: {error}") from error.__cause__
