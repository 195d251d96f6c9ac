"""Decide which columns are compared and in which role; give a reason for each column left out.

A date or a row number distinguishes any two periods perfectly but does not indicate drift. A text column in which
nearly every value is new has no distribution to compare. Both are left out, unless a role is declared for them.
"""

from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import polars as pl

from engine.drift.reading.blocks import count_frame_rows
from engine.drift.reading.column_families import holds_values, name_type
from engine.drift.reading.normalization import Role, column_named
from engine.drift.reading.sources import is_spark_frame, scan_table, translate_read_errors
from engine.drift.reading.text_readings import MIN_SHARE, Notation, recognize_texts
from engine.errors import DataError

__all__ = ["FEW_ROWS", "Role", "roles"]

FEW_ROWS = 20
"""With fewer rows, "nearly all distinct" and "counts up" may be chance, so no column is left out for them."""

HEAD_ROWS = 100_000
"""Minimum number of rows that are examined first: with fewer, a second query costs more than it saves."""

_NEARLY_DISTINCT = "an identifier: nearly every value is different"
COUNTS_UP = "counts up with row order"
_TEXTS_EXAMINED = 1000
"""Values of a text column from which it is told whether they are numbers or dates in another notation."""

_VALUES_IN_MEMORY = 10_000_000
"""Number of values up to which they are examined in memory, at once."""


@translate_read_errors()
def roles(
    data: Any,
    declared: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    entity: str | None = None,
) -> tuple[dict[str, Role], dict[str, str]]:
    """Return the roles of the columns that are compared, and the reason for each column that is left out.

    Parameters
    ----------
    data
        The reference, in any form that `scan_table` accepts.
    declared
        Declared roles by column. The others follow from the column types, and from the values of text columns (are
        nearly all distinct?) and integer columns (do they count up with the row order?). An eighth of the rows is read
        for that, and all rows only for the columns that the eighth did not decide.
    only
        The columns to consider, such as the features of a model; None for all columns.
    exclude
        Columns to leave out.
    entity
        The column that says which rows belong together: it is left out, whatever its type.

    Raises
    ------
    DataError
        A column of `only` does not exist, a declared role does not fit the column's type, or the data cannot be read.
    """
    examined: ExaminedRows
    if is_spark_frame(data):  # imported by name, because that module needs this one
        examined = import_module("engine.drift.spark.identifiers").SparkRows(data)
    else:
        examined = _FrameRows(scan_table(data))
    schema = examined.schema
    declared = declared or {}
    if absent := [name for name in only or () if name not in schema]:
        raise DataError(f"the reference has no {_quote_columns(absent)}; it has {', '.join(schema)}")
    compared: dict[str, Role] = {}
    left_out: dict[str, str] = {}
    for name in schema if only is None else only:
        role = Role(declared[name]) if name in declared else None
        type_role = infer_role(schema[name])
        if name in exclude:
            left_out[name] = "excluded from drift"
        elif name == entity:
            left_out[name] = "the entity: it says which rows belong together"
        elif role in (Role.IGNORE, Role.IDENTIFIER):
            left_out[name] = f"declared {role}"
        elif not holds_values(schema[name]):
            left_out[name] = f"{name_type(schema[name])} values are not compared"
        elif role is Role.NUMERICAL and type_role is Role.CATEGORICAL and schema[name] not in (pl.Boolean, pl.Null):
            raise DataError(f"column {name!r} is declared numerical, but holds text; declare it categorical")
        elif role is None and type_role is None:
            left_out[name] = f"a {_name_temporal_type(schema[name])}, which always differs between two periods"
        else:
            compared[name] = role or type_role or Role.NUMERICAL
    undeclared = {name: role for name, role in compared.items() if name not in declared}
    for name, reason in _find_identifying_columns(examined, undeclared, counters=only is None).items():
        del compared[name]
        left_out[name] = reason
    return compared, left_out


def infer_role(dtype: pl.DataType) -> Role | None:
    """Return the role that follows from a column's type alone; None if such columns are not compared."""
    if not holds_values(dtype):
        return None
    if dtype.is_numeric() or dtype == pl.Duration:
        return Role.NUMERICAL
    return None if dtype.is_temporal() else Role.CATEGORICAL


def require_comparable_role(name: str, role: str) -> Role:
    """Return the role of a column; raises DataError if it is none in which columns are compared."""
    if role not in (Role.NUMERICAL, Role.CATEGORICAL):
        raise DataError(f"column {name!r} cannot be compared as {role!s}; its role must be numerical or categorical")
    return Role(role)


class ExaminedRows(Protocol):
    """The rows from which it is found out which columns identify rows."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The types of the columns."""

    def count(self) -> int:
        """Return the number of rows."""

    def head(self, names: Collection[str], rows: int) -> pl.LazyFrame:
        """Return these columns of the first rows: about so many."""

    def filter_candidates(self, candidates: Mapping[str, str], total: int) -> dict[str, str]:
        """Return the candidates that, judged by all rows, are identifiers or counters (see `filter_candidates`)."""


class _FrameRows:
    """The rows of a polars frame."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame, self.schema = frame, frame.collect_schema()

    def count(self) -> int:
        return count_frame_rows(self._frame)

    def head(self, names: Collection[str], rows: int) -> pl.LazyFrame:
        return self._frame.select(map(column_named, names)).head(rows)

    def filter_candidates(self, candidates: Mapping[str, str], total: int) -> dict[str, str]:
        return filter_candidates(self._frame, candidates, total, total)


def _find_identifying_columns(examined: ExaminedRows, columns: Mapping[str, Role], *, counters: bool) -> dict[str, str]:
    """Return the text columns that are nearly all distinct and the integer columns that count up, with the reason."""
    schema = examined.schema
    texts = [name for name, role in columns.items() if role is Role.CATEGORICAL and schema[name] != pl.Boolean]
    integers = [name for name in columns if counters and schema[name].is_integer()]
    candidates = dict.fromkeys(texts, _NEARLY_DISTINCT) | dict.fromkeys(integers, COUNTS_UP)
    rows = examined.count() if candidates else 0
    if rows < FEW_ROWS:
        return {}
    head = max(rows // 8, HEAD_ROWS)
    if head < rows:
        candidates = filter_candidates(examined.head(candidates, head), candidates, head, rows)
    return _name_notations(examined, examined.filter_candidates(candidates, rows))


def _name_notations(examined: ExaminedRows, left_out: Mapping[str, str]) -> dict[str, str]:
    """Return the reasons; a text column that holds numbers or dates in another notation is not an identifier."""
    schema = examined.schema
    texts = [name for name, reason in left_out.items() if reason == _NEARLY_DISTINCT and schema[name] == pl.String]
    if not texts:
        return dict(left_out)
    head = examined.head(texts, _TEXTS_EXAMINED).collect(engine="streaming")
    found = {name: recognize_texts(head[name], Notation()) for name in texts}
    return {**left_out} | {
        name: f"text that looks like {one.reading.describe()}, such as {one.example!r}: nearly every value is "
        "different, so it is compared only once it is read as such"
        for name, one in found.items()
        if one.reading is not None and one.share >= MIN_SHARE
    }


def filter_candidates(frame: pl.LazyFrame, candidates: Mapping[str, str], rows: int, total: int) -> dict[str, str]:
    """Return the candidates that, judged by these rows, may still be identifiers or counters.

    The `rows` are the first of `total`. A text column identifies rows if fewer than 1 in 20 of its values repeat an
    earlier one. Further rows cannot make the repeats fewer, and at most all of them have a value, so a column is no
    longer a candidate as soon as 20 * repeats >= the largest possible number of values. Texts are compared by 64-bit
    hashes, in half the time and a third of the memory; that of polars will do, because only the number of different
    ones counts.
    """
    if not candidates:
        return {}
    tests = []
    for name, reason in candidates.items():
        column = column_named(name)
        if reason == COUNTS_UP:
            tests.append(((column > column.shift()).sum() == pl.len() - 1).alias(name))
        else:
            present = column.count().cast(pl.Int64)
            at_most = present + total - pl.len().cast(pl.Int64)
            repeats = present - column.drop_nulls().hash().n_unique().cast(pl.Int64)
            tests.append(((20 * repeats < at_most) & (at_most >= FEW_ROWS)).alias(name))
    # the streaming engine takes a millisecond per test, however few rows there are
    small = rows * len(candidates) <= _VALUES_IN_MEMORY
    remains = frame.select(tests).collect(engine="in-memory" if small else "streaming").row(0, named=True)
    return {name: reason for name, reason in candidates.items() if remains[name]}


def _quote_columns(names: Sequence[str]) -> str:
    return ("column " if len(names) == 1 else "columns ") + ", ".join(map(repr, names))


def _name_temporal_type(dtype: pl.DataType) -> str:
    return "date" if dtype == pl.Date else "time of day" if dtype == pl.Time else "datetime"
