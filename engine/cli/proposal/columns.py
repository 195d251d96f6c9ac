"""Proposes the settings of columns: contracts, roles, ranges, and remarks that describe their values."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.cli.proposal.column_choices import ColumnChoices
from engine.cli.proposal.yaml_writing import can_be_key, escape_character, format_yaml_number, round_digits
from engine.data.column_types import POLARS_DTYPES
from engine.data.inspection import ColumnSummary, FileInspection
from engine.drift import Role

MIN_ROWS_FOR_ROLES = 50
"""Least number of rows from which roles are inferred: with fewer, how often a value occurs tells nothing."""
MAX_ROWS_PER_ENTITY = 100
"""Most rows per value of an entity: with more, the value names a class of things, not a single one."""

_KEY_NAME = re.compile(r"(^|[\W_])(id|key|uuid|guid|nr|no|number|code)\.?$|[a-z]I[dD]$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A line of the section `columns:`: the column, its contract as YAML, and a comment."""

    column: ColumnSummary
    contract: str
    remark: str


def propose_contract(column: ColumnSummary, seen: FileInspection, wishes: ColumnChoices) -> str:
    """Return the contract that the data fulfil now, as a YAML flow mapping."""
    parts = []
    # A text that looks like numbers gets no `type: text`, which would end the warnings about it.
    doubtful = seen.table.files.doubtful if seen.table.files else ()
    if (
        not (column.name in doubtful and column.column_type == "text")
        and column.column_type in POLARS_DTYPES
        and _reads_as_declared(column, seen)
    ):
        parts.append(f"type: {column.column_type}")
    if role := suggest_role(column, seen.rows, wishes):
        parts.append(f"role: {role}")
    if column.missing == 0 and column.name not in (wishes.target, wishes.prediction):
        parts.append("required: true")
    low = column.statistics["min"]
    if low is not None and low >= 0 and column.column_type in ("integer", "number"):
        parts.append("min: 0")
    return "{" + ", ".join(parts) + "}"


def suggest_role(column: ColumnSummary, rows: int, wishes: ColumnChoices) -> Role | None:
    """Return a role that name and values suggest but the type does not: a number without order, a key, a date."""
    if column.role is None or not can_be_key(column.name) or rows < MIN_ROWS_FOR_ROLES:
        return None
    if column.name in (wishes.target, wishes.prediction, wishes.time):
        return None
    if column.holds_dates:
        return Role.IGNORE
    if may_be_entity(column, rows) or (
        _is_named_like_key(column) and column.distinct > 0.95 * rows * (1 - column.missing)
    ):
        return Role.IDENTIFIER
    few = column.distinct == 2 or _is_named_like_key(column)
    return Role.CATEGORICAL if few and column.column_type == "integer" else None


def _reads_as_declared(column: ColumnSummary, seen: FileInspection) -> bool:
    """Return whether a CSV column is read the same once its type is declared; not so with a time zone, for example."""
    dtype = seen.table.frame.collect_schema()[column.name]
    return seen.table.rereadable or dtype == POLARS_DTYPES[column.column_type]


def _is_named_like_key(column: ColumnSummary) -> bool:
    """Return whether a column is named like a key: `card_id`, `shop nr.`, `orderId`."""
    return column.column_type in ("integer", "text") and bool(_KEY_NAME.search(column.name))


def may_be_entity(column: ColumnSummary, rows: int) -> bool:
    """Return whether rows with the same value may belong together: a key's name, and a few rows per value."""
    several = 20 <= column.distinct <= rows / 2 and rows / column.distinct <= MAX_ROWS_PER_ENTITY
    return several and _is_named_like_key(column) and can_be_key(column.name)


def describe_values(column: ColumnSummary) -> str:
    """Return a description of a column's values, for a comment."""
    parts = []
    if column.values:
        shown = [value if len(value) <= 30 else value[:29] + "…" for value in column.values]
        parts.append(", ".join("".join(map(escape_character, value)) if value else '""' for value in shown))
    elif column.column_type == "text":
        parts.append(f"{column.distinct:,} distinct texts")
    elif column.low is not None:
        parts.append(column.low if column.low == column.high else f"{column.low} to {column.high}")
    if column.missing:
        parts.append(f"{_format_percent(column.missing)} missing")
    if column.holds_dates:
        parts.append("a date as text, ignored because it differs between any two periods")
    if column.reason:
        parts.append(f"not compared: {column.reason.partition(':')[0]}")
    return "; ".join(parts)


def _format_percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


def propose_limit(share: float) -> float:
    """Return a limit a quarter and one percentage point above a share, at most 1."""
    return round_digits(min(1.0, share * 1.25 + 0.01))


def propose_missing_limit(columns: Iterable[ColumnSummary]) -> float:
    """Return the limit of missing values for all columns: 2 %, or more if a column has more and cannot be an exception.

    A column whose name cannot be a YAML key cannot have an entry.
    """
    return max([0.02, *(propose_limit(c.missing) for c in columns if c.missing > 0.01 and not can_be_key(c.name))])


def propose_mean_ranges(columns: Sequence[ColumnSummary]) -> Iterator[tuple[str, str, str]]:
    """Yield each numerical column with the bounds half a standard deviation below and above its mean."""
    for column in columns:
        mean, std = column.statistics["mean"], column.statistics["std"]
        if column.role is not Role.NUMERICAL or not can_be_key(column.name) or mean is None or not std:
            continue
        low, high = round_digits(mean - std / 2), round_digits(mean + std / 2)
        if math.isfinite(low) and math.isfinite(high) and low <= mean <= high and low < high:
            yield column.name, format_yaml_number(low), format_yaml_number(high)
