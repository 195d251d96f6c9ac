"""Find the columns that must not be compared, with reasons: they differ between any two batches, with or without drift.

The spec lists each of them under `features: exclude` or `drift: columns: exclude`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from engine.cli.column_choices import ColumnChoices
from engine.cli.proposal.columns import MIN_ROWS_FOR_ROLES
from engine.cli.proposal.periods import Periods, express_period, express_time
from engine.cli.proposal.predictions import is_named_like_prediction
from engine.data import Table, explain_read_errors
from engine.data.inspection import ColumnSummary, FileInspection
from engine.drift import Role
from engine.drift.reading.normalization import column_named

MIN_COLLISIONS = 15
"""Minimum number of repeats expected of random numbers: if none repeats, they were made distinct, like ids."""

MAX_DISTINCT_SHARE = 0.75
"""Maximum share of distinct values of a text that is compared: with more, other rows have other values."""


@dataclass(frozen=True, slots=True)
class ProposedRoles:
    """The proposed roles of columns, and the columns with the model's predictions."""

    roles: Mapping[str, Role | None]
    predictions: frozenset[str]


def list_exclusions(
    seen: FileInspection, periods: Periods | None, choices: ColumnChoices, known: ProposedRoles
) -> dict[str, str]:
    """Return the reason, in a few words, for each column that must not be compared.

    It does not include the target, nor the columns of the model's own predictions, which are never features.
    """
    own = {choices.target, *known.predictions}
    candidates = [c for c in seen.columns.values() if c.name not in own]
    found = {c.name: reason for c in candidates if (reason := _judge_summary(c, seen.rows, choices, known))}
    numbers = [
        c for c in candidates if c.name not in found and c.column_type in ("integer", "number") and c.distinct > 2
    ]
    if numbers and seen.rows >= MIN_ROWS_FOR_ROLES:
        whole = [c for c in numbers if c.distinct == round(seen.rows * (1 - c.missing)) and _is_sparse(c)]
        found |= dict.fromkeys(_filter_whole(seen.table, whole), "a running number or id: no value occurs twice")
        if periods is not None:
            rest = [c for c in numbers if c.name not in found]
            found |= _find_calendar_columns(seen, rest, periods)
    return {name: found[name] for name in seen.columns if name in found}


def list_one_sided(
    seen: FileInspection, reference: FileInspection, own: Collection[str | None], *, scored: bool
) -> dict[str, str]:
    """Return the reason for each column that only one side has, if the spec can exclude it.

    The features of a scored model are columns of the batch; those of a trained model are columns of the reference.
    """
    there, here = (seen, reference) if scored else (reference, seen)
    side = "the reference does" if scored else "the data do"
    return {name: f"{side} not have it" for name in there.columns if name not in here.columns and name not in own}


def _judge_summary(column: ColumnSummary, rows: int, choices: ColumnChoices, known: ProposedRoles) -> str | None:
    """Return the reason that follows from a column's name, type and role; None if there is none."""
    if column.name == choices.time:
        return "the time: later times always differ from earlier ones"
    if column.reason:
        return column.reason.partition(":")[0]
    if choices.target and is_named_like_prediction(column.name):
        return "named like a prediction"
    match known.roles[column.name]:
        case Role.IDENTIFIER:
            return "an id by its name and values"
        case Role.IGNORE:
            return "a date as text, which differs between any two periods"
    if column.column_type != "text" or rows < MIN_ROWS_FOR_ROLES:
        return None
    if column.distinct > MAX_DISTINCT_SHARE * rows * (1 - column.missing):
        return "most of its values occur once"
    return "it has one value only" if column.distinct == 1 and column.missing == 0 else None


def _is_sparse(column: ColumnSummary) -> bool:
    """Return whether so many different numbers in so small a range cannot be chance (the birthday problem)."""
    low, high = column.statistics["min"], column.statistics["max"]
    if low is None or high is None:
        return False
    return column.distinct**2 / (2 * (high - low + 1)) > MIN_COLLISIONS


def _express_number(column: ColumnSummary) -> pl.Expr:
    """Return the expression of a numerical column; NaN is missing."""
    value = column_named(column.name)
    return value if column.column_type == "integer" else value.cast(pl.Float64).fill_nan(None)


def _filter_whole(table: Table, columns: list[ColumnSummary]) -> Iterator[str]:
    """Yield the columns with only whole numbers: ids are floats if one of them is missing."""
    decimal = {c.name: _express_number(c) for c in columns if c.column_type == "number"}
    whole = dict.fromkeys([c.name for c in columns if c.column_type == "integer"], True)
    if decimal:
        with explain_read_errors(table):
            tests = [(value == value.round()).all().alias(name) for name, value in decimal.items()]
            whole |= table.frame.select(tests).collect(engine="streaming").row(0, named=True)
    return (name for name, is_whole in whole.items() if is_whole)


def _find_calendar_columns(seen: FileInspection, columns: list[ColumnSummary], periods: Periods) -> dict[str, str]:
    """Return the numbers that follow from the time: they never decrease over time, or have one value per period."""
    if not columns:
        return {}
    when = express_time(periods.column, seen.columns[periods.column]).alias("__when")
    period = express_period(periods.label, "__when").alias("__period")
    values = [_express_number(c) for c in columns]
    with explain_read_errors(seen.table):
        ranges = (
            seen.table.frame.select(when, *(v.alias(f"v{i}") for i, v in enumerate(values)))
            .with_columns(period)
            .drop_nulls("__when")
            .group_by("__when", "__period")
            .agg(pl.len(), pl.all().exclude("__when", "__period").min().name.prefix("low "),
                 pl.all().exclude("__when", "__period").max().name.prefix("high "))
            .collect(engine="streaming")
            .sort("__when")
        )  # fmt: skip
    found = {}
    for i, column in enumerate(columns):
        one = ranges.select("__period", low=f"low v{i}", high=f"high v{i}").drop_nulls()
        if one.height < 3:
            continue
        if bool((one["low"] >= one["high"].shift(1)).all()):
            found[column.name] = "it grows with the time"
            continue
        spread = one.group_by("__period").agg(pl.col("low").min(), pl.col("high").max())
        if spread.height >= 3 and spread["low"].equals(spread["high"]):
            found[column.name] = f"it has one value per {periods.word}, as the time has"
    return found
