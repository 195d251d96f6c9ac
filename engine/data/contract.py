"""Column contracts: what the columns of a dataset must be, verified whenever it is read.

The schema is checked when a table is opened, before any row is read. The rest compiles to one lazy polars plan that
counts the violations of every rule in a single streaming pass; rows are looked for only where a count is not zero.
Checking rule by rule would read the data once for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from engine.data.families import family
from engine.data.table import Table, reading
from engine.data.wording import meant
from engine.errors import DataError
from engine.spec.resources.datasets import Column
from engine.spec.resources.resource import Scalar

SAMPLE = 5
"""Failing rows that a message shows, for each rule."""


def check_schema(schema: Mapping[str, pl.DataType], contract: Mapping[str, Column]) -> None:
    """Check that the columns of a contract exist, have the types declared and can be held to their rules.

    An integer is a number too, and a column without any value has every type.

    Raises
    ------
    DataError
        Every column that is missing or mistyped, or whose rules do not suit its type.
    """
    faults = []
    for column, rules in contract.items():
        if column not in schema:
            faults.append(f"there is no column {column!r}{meant(column, list(schema))}")
            continue
        found = family(schema[column])
        if rules.type and found != rules.type and (found, rules.type) != ("integer", "number") and found != "null":
            faults.append(f"column {column!r} is {found}; its contract says {rules.type}")
            continue
        try:
            list(_rules(column, rules, schema[column]))
        except TypeError as error:
            faults.append(f"column {column!r} is {found}: {error}")
    if faults:
        raise DataError(_listed("it is not what its contract says", faults))


def verify(table: Table) -> None:
    """Hold every row of a table to its contract.

    A value that is missing (null or NaN) breaks `required` and nothing else.

    Raises
    ------
    DataError
        Each rule that is broken: column, how often, and the first rows (from 1, in the file where there is one).
        Or a column is called as polars writes patterns of columns, "*" or "^…$".
    """
    with reading(table):
        if table.files and (fault := table.files.ragged()):
            raise DataError(f"dataset {table.name!r}: {fault}")
        schema = table.frame.collect_schema()
        for name in schema:
            if name == "*" or (name.startswith("^") and name.endswith("$")):
                raise DataError(f"dataset {table.name!r} has a column {name!r}: it reads like a pattern, so rename it")
        rules = [rule for name, column in table.columns.items() for rule in _rules(name, column, schema[name])]
        if not rules:
            return
        counts = table.frame.select(rule.broken().alias(str(i)) for i, rule in enumerate(rules))
        found = counts.collect(engine="streaming").row(0)
        broken = [(rule, count) for rule, count in zip(rules, found, strict=True) if count]
        if not broken:
            return
        faults = [f"column {rule.column!r}: {count} {rule.says}: {_where(table, rule)}" for rule, count in broken]
    raise DataError(_listed(f"dataset {table.name!r}: it is not what its contract says", faults))


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule of one column: `bad` marks the rows that break it; None for `unique`, which no row breaks alone."""

    column: str
    says: str
    value: pl.Expr
    bad: pl.Expr | None

    def broken(self) -> pl.Expr:
        """Count the rows that break the rule; for `unique`, the rows too many."""
        if self.bad is None:
            present = self.value.drop_nulls()
            return present.len() - present.n_unique()
        return self.bad.sum()

    def rows(self, frame: pl.LazyFrame) -> pl.DataFrame:
        """Return the first rows that break the rule: row from 1, value."""
        numbered = frame.select(self.value.alias("value"), self._mark()).with_row_index("row", offset=1)
        return numbered.filter("bad").select("row", "value").head(SAMPLE).collect(engine="streaming")

    def _mark(self) -> pl.Expr:
        bad = self.value.is_duplicated() & self.value.is_not_null() if self.bad is None else self.bad
        return bad.alias("bad")


def _rules(name: str, column: Column, dtype: pl.DataType) -> Iterator[_Rule]:
    """Compile the rules of one column. A TypeError says which rule does not suit its type."""
    value = pl.col(name).fill_nan(None) if dtype.is_float() else pl.col(name)
    if column.required:
        yield _Rule(name, "missing", pl.col(name), value.is_null())
    if dtype == pl.Null:
        return
    if column.min is not None:
        yield _Rule(name, f"below {_plain(column.min)}", value, value < _bound("min", column.min, dtype))
    if column.max is not None:
        yield _Rule(name, f"above {_plain(column.max)}", value, value > _bound("max", column.max, dtype))
    if column.allowed is not None:
        some = ", ".join(map(repr, column.allowed[:SAMPLE])) + ", …" * (len(column.allowed) > SAMPLE)
        legal = _legal(column.allowed, dtype)
        compared = value.cast(pl.String) if family(dtype) == "text" else value
        yield _Rule(name, f"not among {some}", value, ~compared.is_in(legal.implode()) & value.is_not_null())
    if column.unique:
        yield _Rule(name, "more than once", value, None)


def _bound(rule: str, bound: float | date, dtype: pl.DataType) -> pl.Expr:
    """Return a bound as a literal that compares with the column: durations in seconds, times in its time zone."""
    found = family(dtype)
    if found in ("integer", "number") and isinstance(bound, float):
        return pl.lit(_plain(bound))
    if found == "duration" and isinstance(bound, float):
        return pl.lit(timedelta(seconds=bound))
    if isinstance(bound, date) and (found == "datetime" or (found == "date" and not isinstance(bound, datetime))):
        zone = getattr(dtype, "time_zone", None)
        naive = isinstance(bound, datetime) and bound.tzinfo is None
        return pl.lit(bound).dt.replace_time_zone(zone) if zone and naive else pl.lit(bound)
    raise TypeError(f"{rule}: {_plain(bound)} cannot be compared with it")


def _legal(allowed: Sequence[Scalar], dtype: pl.DataType) -> pl.Series:
    """Return the legal values in the column's type."""
    found = family(dtype)
    legal = [_as(found, value) for value in allowed if value is not None]
    if found == "text":
        return pl.Series(legal, dtype=pl.String)
    series = pl.Series(legal, dtype=pl.Float64 if found == "number" else None, strict=False)
    zone = getattr(dtype, "time_zone", None)
    return (series.dt.replace_time_zone(zone) if zone else series).cast(dtype, strict=False).drop_nulls()


def _as(found: str, value: Any) -> Scalar | date:
    """Return an allowed value as Python's value of the family."""
    if found == "boolean" and isinstance(value, bool):
        return value
    if found == "integer" and type(value) in (int, float) and float(value).is_integer():
        return int(value)
    if found == "number" and type(value) in (int, float):
        return float(value)
    if found == "text" and isinstance(value, str):
        return value
    if found in ("date", "datetime") and isinstance(value, str):
        try:
            return (date if found == "date" else datetime).fromisoformat(value)
        except ValueError:
            pass
    raise TypeError(f"allowed: {value!r} can never be one of its values")


def _plain(bound: float | date) -> float | date:
    """Return 300 for 300.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _where(table: Table, rule: _Rule) -> str:
    """Describe the first rows that break a rule, file by file where the table is files."""
    parts = table.files.parts() if table.files and rule.bad is not None else [("", table.frame)]
    shown: list[str] = []
    for label, frame in parts:
        of = f" of {label}" if label else ""
        rows = rule.rows(frame).iter_rows()
        shown += [f"row {row}{of}{'' if value is None else f' ({_short(value)})'}" for row, value in rows]
        if len(shown) >= SAMPLE:
            break
    return ", ".join(shown[:SAMPLE])


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _listed(title: str, faults: list[str]) -> str:
    return f"{title}: {faults[0]}" if len(faults) == 1 else "\n  ".join([f"{title}:", *faults])
