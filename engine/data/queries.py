"""Datasets of kind `query`: SQL over other datasets, planned by polars, run only when a frame is collected."""

import re
from collections.abc import Callable, Mapping

import polars as pl
from polars import selectors

from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.table import Table
from engine.digests import digest_texts
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.spec import ProjectSpec, sql
from engine.spec.variables.references import Value

COMPUTATION_VERSION = "2"
"""Version of the results of queries that compute: raise it whenever such a query may give another value."""

_NARROW = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)


def bind_query(query: str, variables: Mapping[str, Value]) -> str:
    """Return a query with its variables inserted.

    Raises
    ------
    DataError
        A variable has no value, or one that the query cannot contain.
    """
    try:
        return sql.bind_variables(query, variables)
    except (ValueError, KeyError) as problem:
        raise DataError(f"its SQL cannot be computed: {problem}") from None


def plan_query(query: str, inputs: tuple[Table, ...], locate: Callable[[str], str] = str) -> pl.LazyFrame:
    """Return the lazy frame of a query over its input tables.

    If the query computes, whole numbers of fewer than 64 bits are 64-bit numbers in it, and so are columns of type
    UInt64 that it computes with: polars computes in the type of a column or of a function's result, and wraps what does
    not fit, without an error.

    Parameters
    ----------
    query
        SQL with its variables inserted.
    inputs
        The tables that it reads; in the SQL each has the name of its dataset.
    locate
        Adds the place of the query to the message of an error.

    Raises
    ------
    DataError
        polars cannot plan the query: it names an unknown column (the message suggests a similar one), uses a wrong
        type, or calls a function that polars lacks.
    """
    try:
        frames = {table.name: table.frame for table in inputs}
        if sql.computes_values(query):
            query = sql.widen_functions(query)
            unsigned = selectors.by_dtype(pl.UInt64) & selectors.by_name(*sql.list_operands(query), require_all=False)
            wide = (selectors.by_dtype(_NARROW) | unsigned).cast(pl.Int64)
            frames = {name: frame.with_columns(wide) for name, frame in frames.items()}
        with pl.SQLContext(frames) as context:
            frame = context.execute(query, eager=False)
            frame.collect_schema()
    except READ_ERRORS as error:
        raise DataError(locate(f"its SQL is not valid: {_explain_query_error(error, inputs)}")) from error
    return frame


def locate_query_error(message: str, name: str, project: ProjectSpec) -> str:
    """Return the message of a query's error with its place in the spec: that of a named column, or of the SQL.

    polars gives no line of a query.
    """
    at = project.locate_word(re.findall(r"column (?:named )?'([^']+)'", message), "datasets", name, "sql")
    return f"{message} ({at.file}:{at.line}:{at.column})"


def fingerprint_query(query: str, inputs: tuple[Table, ...]) -> str:
    """Return the digest of a query with its variables inserted: its normalized SQL, and its inputs' fingerprints."""
    version = [COMPUTATION_VERSION] if sql.computes_values(query) else []
    parts = (part for table in inputs for part in (table.name, table.fingerprint))
    return digest_texts(sql.normalize_sql(query), *parts, *version)


def inherit_entity(frame: pl.LazyFrame, inputs: tuple[Table, ...]) -> str | None:
    """Return the entity that a query inherits: that of its inputs, if they share one and the query keeps its column."""
    found = {table.entity for table in inputs if table.entity is not None}
    return found.pop() if len(found) == 1 and found <= set(frame.collect_schema()) else None


def _explain_query_error(error: BaseException, inputs: tuple[Table, ...]) -> str:
    """Return polars' message; if it misses a column, with a similar name."""
    text = describe_error(error)
    if found := re.fullmatch(r"no column named '(?P<column>.*)' found in table '(?P<table>.*)'", text):
        columns = {name for table in inputs for name in table.frame.collect_schema() if table.name == found["table"]}
        # The table in the message may be an alias of the query, which belongs to no input.
        columns = columns or {name for table in inputs for name in table.frame.collect_schema()}
        return f"{text}{suggest_name(found['column'], sorted(columns))}"
    return text
