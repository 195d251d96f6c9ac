"""Kind `query`: SQL over other datasets, planned by polars and run only when something is collected."""

import re

import polars as pl

from engine.data.fingerprints import combine
from engine.data.table import Table
from engine.data.wording import UNREADABLE, meant, words
from engine.errors import DataError
from engine.spec import sql


def plan(query: str, inputs: tuple[Table, ...]) -> pl.LazyFrame:
    """Return the plan of a bound query over its inputs, each known by its dataset's name.

    Raises
    ------
    DataError
        polars cannot plan it: an unknown column (with the likely one), a wrong type, a function that it has not.
    """
    try:
        with pl.SQLContext({table.name: table.frame for table in inputs}) as context:
            frame = context.execute(query, eager=False)
            frame.collect_schema()
    except UNREADABLE as error:
        raise DataError(f"its SQL cannot be planned: {_explained(error, inputs)}") from error
    return frame


def fingerprint(query: str, inputs: tuple[Table, ...]) -> str:
    """Return the digest of a bound query: its one spelling, and what each table in it holds."""
    return combine(sql.canonical(query), *(part for table in inputs for part in (table.name, table.fingerprint)))


def entity(frame: pl.LazyFrame, inputs: tuple[Table, ...]) -> str | None:
    """Return the entity that a query inherits: its inputs', where they have exactly one and the query keeps it."""
    found = {table.entity for table in inputs if table.entity is not None}
    return found.pop() if len(found) == 1 and found <= set(frame.collect_schema()) else None


def _explained(error: BaseException, inputs: tuple[Table, ...]) -> str:
    said = words(error)
    if found := re.fullmatch(r"no column named '(?P<column>.*)' found in table '(?P<table>.*)'", said):
        known = {column for table in inputs for column in table.frame.collect_schema() if table.name == found["table"]}
        known = known or {column for table in inputs for column in table.frame.collect_schema()}
        return f"{said}{meant(found['column'], sorted(known))}"
    return said
