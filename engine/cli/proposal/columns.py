"""Proposes the settings of columns: contracts, roles, ranges, and remarks that describe their values."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.cli.proposal.wishes import Wishes
from engine.cli.proposal.writing import escaped, is_key, number, rounded
from engine.data.families import IMPOSED
from engine.data.survey import Column, Survey
from engine.drift import Role

ROWS_TO_TELL = 50
"""Least number of rows from which roles are inferred: with fewer, how often a value occurs tells nothing."""
ROWS_OF_ONE = 100
"""Most rows per value of an entity: with more, the value names a class of things, not a single one."""

_KEY = re.compile(r"(^|[\W_])(id|key|uuid|guid|nr|no|number|code)\.?$|[a-z]I[dD]$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the section `columns:`: the column, its contract as YAML, and a comment."""

    column: Column
    contract: str
    remark: str


def contract(column: Column, seen: Survey, wishes: Wishes) -> str:
    """Return the contract that the data fulfil now, as a YAML flow mapping."""
    parts = []
    if column.family in IMPOSED and _reads_as_declared(column, seen):
        parts.append(f"type: {column.family}")
    if role := declared_role(column, seen.rows, wishes):
        parts.append(f"role: {role}")
    if column.missing == 0 and column.name not in (wishes.target, wishes.prediction):
        parts.append("required: true")
    low = column.numbers["min"]
    if low is not None and low >= 0 and column.family in ("integer", "number"):
        parts.append("min: 0")
    return "{" + ", ".join(parts) + "}"


def declared_role(column: Column, rows: int, wishes: Wishes) -> Role | None:
    """Return a role that name and values suggest but the type does not: a number without order, a key, a date."""
    if column.role is None or not is_key(column.name) or rows < ROWS_TO_TELL:
        return None
    if column.name in (wishes.target, wishes.prediction, wishes.time):
        return None
    if column.dated:
        return Role.IGNORE
    if may_be_entity(column, rows) or (_is_key(column) and column.distinct > 0.95 * rows * (1 - column.missing)):
        return Role.IDENTIFIER
    few = column.distinct == 2 or _is_key(column)
    return Role.CATEGORICAL if few and column.family == "integer" else None


def _reads_as_declared(column: Column, seen: Survey) -> bool:
    """Return whether a CSV column is read the same once its type is declared; not so with a time zone, for example."""
    dtype = seen.table.frame.collect_schema()[column.name]
    return seen.table.rereadable or dtype == IMPOSED[column.family]


def _is_key(column: Column) -> bool:
    """Return whether a column is named like a key: `card_id`, `shop nr.`, `orderId`."""
    return column.family in ("integer", "text") and bool(_KEY.search(column.name))


def may_be_entity(column: Column, rows: int) -> bool:
    """Return whether rows with the same value may belong together: a key's name, and a few rows per value."""
    several = 20 <= column.distinct <= rows / 2 and rows / column.distinct <= ROWS_OF_ONE
    return several and _is_key(column) and is_key(column.name)


def remark(column: Column) -> str:
    """Return a description of a column's values, for a comment."""
    parts = []
    if column.values:
        shown = [value if len(value) <= 30 else value[:29] + "…" for value in column.values]
        parts.append(", ".join("".join(map(escaped, value)) if value else '""' for value in shown))
    elif column.family == "text":
        parts.append(f"{column.distinct:,} distinct texts")
    elif column.low is not None:
        parts.append(column.low if column.low == column.high else f"{column.low} to {column.high}")
    if column.missing:
        parts.append(f"{_percent(column.missing)} missing")
    if column.dated:
        parts.append("a date as text, ignored because it differs between any two periods")
    if column.reason:
        parts.append(f"not compared: {column.reason.partition(':')[0]}")
    return "; ".join(parts)


def _percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


def share_above(share: float) -> float:
    """Return a limit a quarter and one percentage point above a share, at most 1."""
    return rounded(min(1.0, share * 1.25 + 0.01))


def usual_gap(columns: Iterable[Column]) -> float:
    """Return the limit of missing values for all columns: 2 %, or more if a column has more and cannot be an exception.

    A column whose name cannot be a YAML key cannot have an entry of its own.
    """
    return max([0.02, *(share_above(c.missing) for c in columns if c.missing > 0.01 and not is_key(c.name))])


def means(columns: Sequence[Column]) -> Iterator[tuple[str, str, str]]:
    """Yield each numerical column with the bounds half a standard deviation below and above its mean."""
    for column in columns:
        mean, std = column.numbers["mean"], column.numbers["std"]
        if column.role is not Role.NUMERICAL or not is_key(column.name) or mean is None or not std:
            continue
        low, high = rounded(mean - std / 2), rounded(mean + std / 2)
        if math.isfinite(low) and math.isfinite(high) and low <= mean <= high and low < high:
            yield column.name, number(low), number(high)
