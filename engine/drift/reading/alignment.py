"""Convert the columns of a batch to the column types of a reference or a model, before anything reads them.

Only this module handles differences of type. Equal values stay equal whatever type holds them: 3, 3.0 and a decimal 3;
true and 1; a category as text, number or enum; a date and its midnight. If a column changes its type family, such as
numbers that arrive as text, it is read if every value can be read, and reported in any case. A column that is gone or
cannot be read is not measured; all others are.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from engine.drift.reading.column_families import FAMILY_DTYPES, holds_values, known_type, name_type, read_storage
from engine.drift.reading.normalization import Role, as_categories, column_named, label_numbers, normalize_categories
from engine.drift.reading.sources import hold_rows, scan_table

_NUMBERS = ("integer", "number", "float32")
_TIMES = ("date", "datetime")
_PARSED = (*_NUMBERS, "boolean", *_TIMES)
"""The known types that texts are parsed as."""


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """The facts about a column that a reference or a model provides.

    Attributes
    ----------
    family
        Its column type (see `known_type`); empty if unknown, `null` if it has no value.
    binary
        Whether all values are 0 or 1, and so equal to booleans.
    spelling
        The texts for false and true, if these are the only values.
    exact
        Whether all its values are known, so that they can be rounded like those of the other sample.
    """

    role: Role
    family: str = ""
    binary: bool = False
    spelling: tuple[str, str] | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Alignment:
    """A frame with its columns converted to the known types.

    Attributes
    ----------
    frame
        All columns; unknown columns are unchanged.
    roles
        The role of each known column that can be measured.
    unmeasured
        For each known column that cannot be measured, the reason.
    changes
        For each column whose type family changed, what it is now, what it was, and how it is read.
    rounded
        The columns of 32-bit floats: the known values, which have more digits, must be rounded before they are
        compared.
    expressions
        For each converted column, the expression that converts it.
    """

    frame: pl.LazyFrame
    roles: Mapping[str, Role]
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)
    rounded: Collection[str] = ()
    expressions: Mapping[str, pl.Expr] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a column is read: by `expression`, unchanged if None, or not at all if there is an `obstacle`, the reason."""

    expression: pl.Expr | None = None
    changed: bool = False
    how: str = ""
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class _Facts:
    """Facts from the values of a column: how many there are, how many do not fit, and the first of these."""

    present: int
    unfit: int
    row: int | None
    value: Any


def align_columns(
    data: Any,
    known: Mapping[str, KnownColumn],
    *,
    known_side: str = "the reference",
    side: str = "the batch",
    numbered: bool = True,
) -> Alignment:
    """Convert the columns of a frame to known types.

    For most columns the types suffice. Those of another type family are read once.

    Parameters
    ----------
    data
        The rows, in any form that `scan_table` accepts.
    known
        What is known of each column.
    known_side, side
        Names of the known side and of the rows, for messages.
    numbered
        Whether the rows have numbers that messages can give.
    """
    frame = read_storage(data) if isinstance(data, pl.LazyFrame) else scan_table(data)
    schema = frame.collect_schema()
    facts = _collect_facts(frame, schema, known)
    if not numbered:
        facts = {name: replace(one, row=None) for name, one in facts.items()}
    readings = {
        name: _choose_reading(name, known[name], schema[name], facts.get(name)) for name in known if name in schema
    }
    unmeasured = {name: f"{side} has no column {name!r}" for name in known if name not in schema}
    changes: dict[str, str] = {}
    for name, reading in readings.items():
        held, wanted = name_type(schema[name]), _name_family(known[name].family)
        what = f"column {name!r} is {held} in {side}, but {wanted} in {known_side}"
        if known[name].family in ("", "null"):
            what = f"column {name!r} is {held} in {side}"
        if reading.obstacle:
            unmeasured[name] = f"{what}: {reading.obstacle}"
        if reading.changed:
            changes[name] = f"{what}: {reading.obstacle or reading.how}"
    expressions = {
        name: reading.expression.alias(name) for name, reading in readings.items() if reading.expression is not None
    }
    roles = {name: column.role for name, column in known.items() if name not in unmeasured}
    rounded = [
        name
        for name, role in roles.items()
        if role is Role.NUMERICAL and known[name].exact and known_type(schema[name]) == "float32"
    ]
    aligned = frame.with_columns(expressions.values()) if expressions else frame
    return Alignment(aligned, roles, unmeasured, changes, rounded, expressions)


def describe_column(role: Role, family: str, labels: Collection[str], *, exact: bool = True) -> KnownColumn:
    """Return the facts about a column from its type and its distinct values as text (`labels`, none if many)."""
    spelling = next((pair for pair in _SPELLINGS if labels and set(labels) <= set(pair)), None)
    if not family and spelling == _SPELLINGS[0]:
        family = "boolean"
    return KnownColumn(role, family, bool(labels) and set(labels) <= {"0", "1"}, spelling, exact)


def describe_columns(data: Any, roles: Mapping[str, Role], others: Mapping[str, pl.DataType]) -> dict[str, KnownColumn]:
    """Return the facts about the columns of a frame; values are read only if the type differs from that in `others`.

    `data` has any form that `scan_table` accepts, `others` are the types on the other side.
    """
    frame, found = hold_rows(data), {}
    for name, role in roles.items():
        column = frame.get_column(name)
        distinct: list[str] = []
        family = known_type(column.dtype)
        if others.get(name, column.dtype) != column.dtype and holds_values(column.dtype):
            distinct = normalize_categories(column).drop_nulls().unique().head(3).to_list()
            family = family if distinct else "null"
        found[name] = describe_column(role, family, distinct if len(distinct) <= 2 else [])
    return found


_SPELLINGS = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"))
"""The spellings of booleans as text."""


def find_type_changes(
    types: Mapping[str, str], known: Mapping[str, KnownColumn], *, side: str = "the batch"
) -> dict[str, str]:
    """Return a description of the change for each column whose type family changed, judged by types alone."""
    return {
        name: f"column {name!r} is {_name_family(held)} in {side}, "
        f"but {_name_family(known[name].family)} in the reference"
        for name, held in types.items()
        if name in known and _differ(held, known[name].family)
    }


def _differ(held: str, wanted: str) -> bool:
    """Return whether two column types are of different families; an unknown type agrees with any."""
    groups = (_NUMBERS, _TIMES)
    same = held == wanted or any(held in group and wanted in group for group in groups)
    return not same and wanted not in ("", "null") and held != "null"


def _name_family(family: str) -> str:
    return "number" if family == "float32" else family


def _choose_reading(name: str, known: KnownColumn, dtype: pl.DataType, facts: _Facts | None) -> _Reading:
    """Return how to read a column."""
    held, wanted = known_type(dtype), known.family
    if held == "null" or (held == "text" and facts is not None and not facts.present):
        # a column without any value fits every type; CSV files give it the type text
        return _Reading(pl.lit(None, FAMILY_DTYPES.get(_name_family(wanted), pl.Null())))
    if not holds_values(dtype):
        return _Reading(changed=_differ(held, wanted), obstacle="such values are not compared")
    read = _read_numbers if known.role is Role.NUMERICAL else _read_categories
    return read(name, known, dtype, facts)


def _read_numbers(name: str, known: KnownColumn, dtype: pl.DataType, facts: _Facts | None) -> _Reading:
    """Return how to read a column with a numerical role."""
    held, wanted = known_type(dtype), known.family
    if held == "text" and (goal := _parsing_goal(known)):
        return _read_texts(_parse_texts(name, goal, binary=known.binary), goal, facts, changed=_differ(held, wanted))
    if held in _NUMBERS and (wanted in _NUMBERS or not _differ(held, wanted)):
        return _Reading(None if known.exact and held == "float32" else _round_alike(column_named(name), dtype, wanted))
    if held in _NUMBERS and wanted == "boolean":
        return _Reading(changed=_has_unfit(facts), how="its numbers are read as they are, true as 1 and false as 0")
    if held == "boolean" and wanted in _NUMBERS:
        # cast in two steps: polars has no direct cast of a boolean to every type of number
        numbers = column_named(name).cast(pl.Int64).cast(FAMILY_DTYPES[_name_family(wanted)])
        return _Reading(numbers, changed=not known.binary, how="true is read as 1, false as 0")
    if held in _NUMBERS and wanted == "duration":
        return _Reading(changed=True, how="its numbers are read as seconds")
    if held == "duration" and wanted in _NUMBERS:
        seconds = column_named(name).dt.total_microseconds() / 1e6
        return _Reading(seconds, changed=True, how="its durations are read as seconds")
    if _differ(held, wanted):
        return _Reading(changed=True, obstacle="such values are not numbers")
    return _Reading()


def _round_alike(column: pl.Expr, dtype: pl.DataType, wanted: str) -> pl.Expr | None:
    """Return the column in the precision of the known type; None if it needs no change.

    A 32-bit float that is widened differs from every decimal fraction: 0.1 becomes 0.100000001. If the known values
    cannot be rounded to 32 bits, the float is read as the shortest decimal number that it stands for. Other numbers are
    rounded if the known ones were.
    """
    if wanted == "float32" and known_type(dtype) == "number":
        return column.cast(pl.Float32)
    if wanted == "number" and known_type(dtype) == "float32":
        return column.cast(pl.Float32).cast(pl.String).cast(pl.Float64)
    return None


def _read_texts(parsed: pl.Expr, wanted: str, facts: _Facts | None, *, changed: bool) -> _Reading:
    """Return how to read texts as numbers, booleans or dates; only if every text is one."""
    if facts is not None and facts.unfit:
        row = f"{'a row' if facts.row is None else f'row {facts.row + 1:,}'} holds {str(facts.value)[:60]!r}; "
        missing = "if it stands for a missing value, declare that where the data are read (csv: null_values)"
        return _Reading(changed=changed, obstacle=f"{row}{missing}")
    return _Reading(parsed, changed=changed, how=f"its texts are read as {_name_family(wanted)}s")


def _parsing_goal(known: KnownColumn) -> str:
    """Return the type as which texts are parsed if the known column is not text; empty if texts are not parsed."""
    if known.role is Role.NUMERICAL and known.family in ("", "null"):
        return "number"
    return known.family if known.family in _PARSED else ""


def _parse_texts(name: str, wanted: str, *, binary: bool) -> pl.Expr:
    """Return an expression that parses texts as the known type; null where a text does not fit.

    If the known values are 0 and 1 alone (`binary`), true and false are numbers as well.
    """
    text = column_named(name).cast(pl.String).str.strip_chars()
    if wanted in _NUMBERS:
        number = text.cast(pl.Float64, strict=False)
        if binary:
            number = number.fill_null(_as_boolean(text.str.to_lowercase()).cast(pl.Float64))
        return number.cast(pl.Float32) if wanted == "float32" else number
    if wanted == "boolean":
        return _as_boolean(text.str.to_lowercase())
    if wanted == "date":
        return text.str.to_date(strict=False)
    return text.str.to_datetime(time_unit="us", strict=False)


def _as_boolean(text: pl.Expr) -> pl.Expr:
    """Return lower-case texts as booleans; null where a text is not a boolean."""
    return pl.when(text.is_in(["true", "1", "1.0"])).then(True).when(text.is_in(["false", "0", "0.0"])).then(False)


def _read_categories(name: str, known: KnownColumn, dtype: pl.DataType, facts: _Facts | None) -> _Reading:
    """Return how to read a column with a categorical role."""
    held, wanted = known_type(dtype), known.family
    labels = as_categories(name, dtype)
    changed = _differ(held, wanted)
    if not changed:
        return _Reading()
    if wanted == "boolean" and held in ("text", *_NUMBERS):
        changed = held == "text" or _has_unfit(facts)
        how = "1 and true are read as true, 0 and false as false"
        if not _has_unfit(facts):
            return _Reading(_as_boolean(labels.str.strip_chars().str.to_lowercase()), changed, how)
        boolean = _as_boolean(labels.str.strip_chars().str.to_lowercase()).cast(pl.String)
        return _Reading(pl.coalesce(boolean, labels), changed, f"{how}, all other values as categories")
    if wanted in _NUMBERS and held == "boolean":
        return _Reading(
            column_named(name).cast(pl.Int64), changed=not known.binary, how="true is read as 1, false as 0"
        )
    if wanted in _NUMBERS and held == "text":
        text = labels.str.strip_chars()
        if known.binary:
            text = _as_boolean(text.str.to_lowercase()).cast(pl.Int8).cast(pl.String).fill_null(text)
        whole = text.cast(pl.Int64, strict=False).cast(pl.String)
        number = label_numbers(text.cast(pl.Float64, strict=False))
        return _Reading(pl.coalesce(whole, number, labels), changed, "a text that is a number is read as that number")
    if wanted == "text" and known.binary and held == "boolean":
        return _Reading(column_named(name).cast(pl.Int8).cast(pl.String), changed, "true is read as 1, false as 0")
    if wanted == "text" and known.spelling is not None and held in ("boolean", *_NUMBERS):
        boolean = _as_boolean(labels)
        spelled = pl.when(boolean).then(pl.lit(known.spelling[1])).when(~boolean).then(pl.lit(known.spelling[0]))
        return _Reading(pl.coalesce(spelled, labels), changed, "1 and true are read as true, 0 and false as false")
    return _Reading(labels, changed, "its values are compared as text")


def _has_unfit(facts: _Facts | None) -> bool:
    return facts is not None and facts.unfit > 0


def list_value_tests(
    schema: Mapping[str, pl.DataType], known: Mapping[str, KnownColumn]
) -> dict[str, tuple[pl.Expr, pl.Expr]]:
    """Return, per column whose type does not suffice, tests for rows with a value and for values that do not fit."""
    tests: dict[str, tuple[pl.Expr, pl.Expr]] = {}
    for name, column in known.items():
        held = known_type(schema[name]) if name in schema else ""
        value = column_named(name)
        if held == "text" and column.family not in ("text", *(("", "null") if column.role is Role.CATEGORICAL else ())):
            present = value.cast(pl.String).str.strip_chars() != ""
            goal = _parsing_goal(column)
            fits = _parse_texts(name, goal, binary=column.binary).is_not_null() if goal else pl.lit(value=True)
            tests[name] = present.fill_null(value=False), ~fits
        elif held in _NUMBERS and column.family == "boolean":
            number = value.cast(pl.Float64)
            tests[name] = (
                number.is_not_null() & number.is_not_nan().fill_null(value=False),
                (number != 0) & (number != 1),
            )
    return tests


def _collect_facts(
    frame: pl.LazyFrame, schema: Mapping[str, pl.DataType], known: Mapping[str, KnownColumn]
) -> dict[str, _Facts]:
    """Read the columns whose types do not suffice, in one pass."""
    tests = list_value_tests(schema, known)
    if not tests:
        return {}
    found = frame.select(
        expression.alias(f"{part} {i}")
        for i, (name, (present, unfit)) in enumerate(tests.items())
        for part, expression in (
            ("present", present.sum()),
            ("unfit", (present & unfit).sum()),
            ("row", (present & unfit).arg_true().first()),
            ("value", column_named(name).filter(present & unfit).first()),
        )
    ).collect(engine="streaming")
    row = found.row(0, named=True)
    return {
        name: _Facts(*(row[f"{part} {i}"] for part in ("present", "unfit", "row", "value")))
        for i, name in enumerate(tests)
    }
