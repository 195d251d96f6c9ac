"""Decide which columns are compared and in which roles; give the reason for each column left out.

A date or a row number distinguishes any two periods perfectly but does not indicate drift. A text column in which
nearly every value is new has no distribution to compare. Both are left out, unless a role is declared for them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from engine.drift.reading.column_families import holds_values, name_type
from engine.drift.reading.identifying_columns import ExaminedRows, FrameRows, find_identifying_columns
from engine.drift.reading.normalization import Role
from engine.drift.reading.sources import is_spark_frame, scan_table, translate_read_errors
from engine.errors import DataError


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
        Declared roles by column. The other roles follow from the column types, and from the values of text columns
        (nearly all distinct?) and integer columns (ascending with the row order?). An eighth of the rows is read for
        that, and all rows only for columns that the eighth does not decide.
    only
        The columns to consider, such as the features of a model; None for all columns.
    exclude
        Columns to leave out.
    entity
        Column that identifies the entity of a row; it is left out, whatever its type.

    Raises
    ------
    DataError
        A column of `only` does not exist, a declared role does not fit the column's type, or the data cannot be read.
    """
    examined: ExaminedRows
    if is_spark_frame(data):
        from engine.drift.spark.identifiers import SparkRows

        examined = SparkRows(data)
    else:
        examined = FrameRows(scan_table(data))
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
    for name, reason in find_identifying_columns(examined, undeclared, counters=only is None).items():
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
    """Return the role of a column; raises DataError if columns are not compared in this role."""
    if role not in (Role.NUMERICAL, Role.CATEGORICAL):
        raise DataError(f"column {name!r} cannot be compared as {role!s}; its role must be numerical or categorical")
    return Role(role)


def _quote_columns(names: Sequence[str]) -> str:
    return ("column " if len(names) == 1 else "columns ") + ", ".join(map(repr, names))


def _name_temporal_type(dtype: pl.DataType) -> str:
    return "date" if dtype == pl.Date else "time of day" if dtype == pl.Time else "datetime"
