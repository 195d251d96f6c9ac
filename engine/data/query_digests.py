"""The digest of a query's result, with which a trigger detects that it has changed."""

import polars as pl
import polars.selectors as cs

from engine.data.datasets import Datasets
from engine.data.fingerprints import check_hashable, hash_frame
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.queries import plan_query
from engine.data.table import find_read_fault
from engine.digests import digest_texts
from engine.drift.reading.hash_version import HASH_VERSION
from engine.drift.reading.row_hash import hash_rows
from engine.errors import DataError
from engine.spec import ProjectSpec, sql
from engine.spec.opened_connections import open_connection
from engine.spec.secrets.values import Secrets
from engine.spec.sql.statements import bind_statement

MOST_ROWS = 100_000
MOST_BYTES = 64_000_000
"""Maximum size of a result in bytes: one that triggers runs should be small, such as a count or the last day."""

DIGITS = {pl.Float64: 12, pl.Float32: 6}
"""Number of significant digits: threads add numbers in varying order, which changes the last digits."""


def digest_query(datasets: Datasets, query: str) -> str:
    """Return the digest of a query's result: of its columns and rows, in any order unless it has ORDER BY.

    Parameters
    ----------
    query
        One SELECT over datasets, with references to variables.

    Raises
    ------
    DataError
        A dataset cannot be read, the query is not valid for its columns, or its result is too large.
    """
    inputs = tuple(datasets.open(name) for name in sorted(sql.list_tables(query)))
    frame = plan_query(sql.bind_variables(query, datasets.project.names), inputs)
    check_hashable(frame.collect_schema())
    try:
        rows = frame.head(MOST_ROWS + 1).collect()
    except READ_ERRORS as error:
        fault = find_read_fault(inputs)
        raise DataError(fault or f"the query cannot be computed: {describe_error(error)}") from error
    _check_size(len(rows), rows.estimated_size())
    rounded = rows.with_columns(cs.by_dtype(dtype).round_sig_figs(digits) for dtype, digits in DIGITS.items())
    in_order = [hash_rows(rounded).tobytes().hex()] if sql.has_order(query) else []
    return digest_texts(HASH_VERSION, hash_frame(rounded), *in_order)


def digest_database_query(project: ProjectSpec, connection: str, query: str, secrets: Secrets) -> str:
    """Return the digest of the result of a query run by a database: of its rows as texts, in any order.

    Parameters
    ----------
    query
        One SELECT in the SQL of the database, with references to variables.

    Raises
    ------
    DataError
        A variable cannot be filled in, the database cannot be reached or rejects the query, or its result is too large.
    """
    try:
        bound = bind_statement(query, project.connections[connection].kind, project.names)
    except (ValueError, KeyError) as problem:
        raise DataError(f"the query cannot be computed: {problem}") from None
    bound = bound.rstrip().rstrip(";")
    whole = f'SELECT CAST("the row" AS text) FROM (\n{bound}\n) AS "the row" LIMIT {MOST_ROWS + 1}'  # noqa: S608 - only read
    with open_connection(project, connection, secrets, read_only=True) as session:
        rows = [str(text) for (text,) in session.fetch_rows(whole)]
    _check_size(len(rows), sum(map(len, rows)))
    return digest_texts(*sorted(rows))


def _check_size(rows: int, size: float) -> None:
    if rows > MOST_ROWS or size > MOST_BYTES:
        raise DataError(
            f"the result of the query is larger than {MOST_ROWS:,} rows or {MOST_BYTES // 1_000_000} MB; let it return "
            "less, such as a count, or the last day"
        )
