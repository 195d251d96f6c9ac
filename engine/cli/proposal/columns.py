"""Propose the settings of columns: contracts, roles, and comments that describe their values."""

import re
from dataclasses import dataclass

from engine.cli.column_choices import ColumnChoices
from engine.cli.proposal.yaml_writing import can_be_key
from engine.data.column_types import POLARS_DTYPES
from engine.data.inspection import ColumnSummary, FileInspection
from engine.drift import Role
from engine.formatting.yaml_text import escape_character

MIN_ROWS_FOR_ROLES = 50
"""Minimum number of rows for inferring roles: with fewer, the frequency of a value means nothing."""
MIN_ROWS_FOR_RANGES = 100
"""Minimum number of rows for inferring that a column has no negative value."""
MAX_ROWS_PER_ENTITY = 100
"""Maximum number of rows per value of an entity: a value with more names a class rather than an individual."""

_KEY_NAME = re.compile(r"(^|[\W_])(id|key|uuid|guid|nr|no|number|code)\.?$|[a-z]I[dD]$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A line of the section `columns:`: the column, its contract as YAML, and a comment."""

    column: ColumnSummary
    contract: str
    remark: str


def propose_contract(
    column: ColumnSummary, seen: FileInspection, choices: ColumnChoices, *, other: FileInspection | None
) -> str:
    """Return the contract that the data, and the `other` files if given, currently fulfil, as a YAML flow mapping."""
    parts = []
    counterpart = other.columns[column.name] if other else column
    # A text that looks like numbers gets no `type: text`, which would silence the warnings about it.
    doubtful = seen.table.files.doubtful if seen.table.files else ()
    if (
        column.distinct > 0
        and not (column.name in doubtful and column.column_type == "text")
        and column.column_type == counterpart.column_type
        and column.column_type in POLARS_DTYPES
        and _reads_as_declared(column, seen)
    ):
        parts.append(f"type: {column.column_type}")
    if role := suggest_role(column, seen.rows, choices):
        parts.append(f"role: {role}")
    if _is_never_negative(column, seen.rows) and (counterpart is column or _is_never_negative(counterpart, seen.rows)):
        parts.append("min: 0")
    return "{" + ", ".join(parts) + "}"


def _is_never_negative(column: ColumnSummary, rows: int) -> bool:
    """Return whether numbers end at 0, or far above it, so that more rows are unlikely to have negative ones.

    Values around a mean would have gone below 0 in so many rows if 0 were not their limit.
    """
    mean, std, low = (column.statistics[one] for one in ("mean", "std", "min"))
    if column.column_type not in ("integer", "number") or rows < MIN_ROWS_FOR_RANGES:
        return False
    if mean is None or std is None or low is None or low < 0:
        return False
    return low > 2 * std or mean < 1.5 * std or (column.distinct <= 2 and column.column_type == "integer")


def suggest_role(column: ColumnSummary, rows: int, choices: ColumnChoices) -> Role | None:
    """Return a role that name and values suggest but the type does not: a number without order, a key, a date."""
    if column.role is None or not can_be_key(column.name) or rows < MIN_ROWS_FOR_ROLES:
        return None
    if column.name in (choices.target, choices.prediction, choices.time):
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
    """Return whether a CSV column is read the same after its type is declared; not so with a time zone, for example."""
    dtype = seen.table.frame.collect_schema()[column.name]
    return seen.table.rereadable or dtype == POLARS_DTYPES[column.column_type]


def _is_named_like_key(column: ColumnSummary) -> bool:
    """Return whether a column is named like a key: `card_id`, `shop nr.`, `orderId`."""
    return column.column_type in ("integer", "text") and bool(_KEY_NAME.search(column.name))


def may_be_entity(column: ColumnSummary, rows: int) -> bool:
    """Return whether rows with the same value may belong together: the name of a key, and few rows per value."""
    several = 20 <= column.distinct <= rows / 2 and rows / column.distinct <= MAX_ROWS_PER_ENTITY
    return several and _is_named_like_key(column) and can_be_key(column.name)


def describe_values(column: ColumnSummary, excluded: str | None) -> str:
    """Return a description of a column's values, for a comment, and the reason why it is not compared."""
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
    if excluded:
        parts.append(f"not compared: {excluded}")
    return "; ".join(parts)


def _format_percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"
