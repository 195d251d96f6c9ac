"""Which columns take part in a comparison, as what, and why the others do not.

A date or a row number tells any two periods apart perfectly and says nothing about drift; a text that is nearly
always new has no distribution to compare. They are left out with a reason, unless the spec declares a role.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import polars as pl

from engine.errors import DataError

FEW_ROWS = 20
"""Below as many rows, neither "nearly all distinct" nor "counts up" can be told from chance."""


class Role(StrEnum):
    """The part that a column plays."""

    NUMERICAL = "numerical"
    CATEGORICAL = "categorical"
    IDENTIFIER = "identifier"
    IGNORE = "ignore"


def roles(
    frame: pl.LazyFrame,
    declared: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    entity: str | None = None,
) -> tuple[dict[str, Role], dict[str, str]]:
    """Return the columns that take part with their roles, and those left out with the reason.

    Parameters
    ----------
    frame
        The reference.
    declared
        Roles declared in the spec, by column; the rest is found from the types, and by one pass over the values of
        text columns (distinct) and integer columns (counting up with row order).
    only
        The model's features; None without a model: every column.
    exclude
        Columns to leave out.
    entity
        The column that says which rows belong together: it is an identifier, whatever its type.

    Raises
    ------
    DataError
        A column of `only` is not there, or a declared role does not fit the column's type.
    """
    schema = frame.collect_schema()
    declared = declared or {}
    if absent := [name for name in only or () if name not in schema]:
        raise DataError(f"the reference lacks the model's {_columns(absent)}; it has {', '.join(schema)}")
    taking: dict[str, Role] = {}
    left_out: dict[str, str] = {}
    for name in schema if only is None else only:
        role = Role(declared[name]) if name in declared else None
        found = _by_type(schema[name])
        if name in exclude:
            left_out[name] = "excluded from drift"
        elif name == entity:
            left_out[name] = "the entity: it says which rows belong together"
        elif role in (Role.IGNORE, Role.IDENTIFIER):
            left_out[name] = f"declared {role}"
        elif schema[name].is_nested() or schema[name] in (pl.Object, pl.Binary):
            left_out[name] = f"{schema[name]} values are not compared"
        elif role is Role.NUMERICAL and found is Role.CATEGORICAL and schema[name] not in (pl.Boolean, pl.Null):
            raise DataError(f"column {name!r} is declared numerical, but holds text; declare it categorical")
        elif role is None and found is None:
            left_out[name] = f"a {_word(schema[name])}: it would tell any two periods apart"
        else:
            taking[name] = role or found or Role.NUMERICAL
    undeclared = {name: role for name, role in taking.items() if name not in declared}
    for name, reason in _identifying(frame, schema, undeclared, counters=only is None).items():
        del taking[name]
        left_out[name] = reason
    return taking, left_out


def _by_type(dtype: pl.DataType) -> Role | None:
    if dtype.is_numeric() or dtype == pl.Duration:
        return Role.NUMERICAL
    return None if dtype.is_temporal() else Role.CATEGORICAL


def _identifying(
    frame: pl.LazyFrame, schema: pl.Schema, columns: Mapping[str, Role], *, counters: bool
) -> dict[str, str]:
    """Find texts that are nearly all distinct, and integers that only count up, in one pass."""
    text = [name for name, role in columns.items() if role is Role.CATEGORICAL and schema[name] != pl.Boolean]
    integers = [name for name in columns if counters and schema[name].is_integer()]
    if not text and not integers:
        return {}
    rows: int
    facts: list[bool]
    rows, *facts = (
        frame.select(
            pl.len().alias("rows"),
            *(
                (
                    (pl.col(c).drop_nulls().n_unique() > 0.95 * pl.col(c).count()) & (pl.col(c).count() >= FEW_ROWS)
                ).alias(f"distinct {c}")
                for c in text
            ),
            *(((pl.col(c) > pl.col(c).shift()).sum() == pl.len() - 1).alias(f"counts {c}") for c in integers),
        )
        .collect(engine="streaming")
        .row(0)
    )
    reasons = {}
    for name, fact in zip([*text, *integers], facts, strict=True):
        if fact and rows >= FEW_ROWS:
            reasons[name] = (
                "counts up with row order" if name in integers else "an identifier: nearly every value is different"
            )
    return reasons


def _columns(names: Sequence[str]) -> str:
    return ("column " if len(names) == 1 else "columns ") + ", ".join(map(repr, names))


def _word(dtype: pl.DataType) -> str:
    return "date" if dtype == pl.Date else "time of day" if dtype == pl.Time else "datetime"
