"""Column contracts: the rules that a spec declares for a dataset's columns, verified whenever the dataset is read.

The schema is checked when a table is opened, before any row is read. All other rules compile to one lazy polars plan
that counts the violations of every rule in a single streaming pass. Rows are searched only for broken rules. Checking
rule by rule would read the data once per rule.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl

from engine.data.column_types import column_type
from engine.data.table import Table, explain_read_errors
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_some
from engine.spec.resources.datasets import Column
from engine.spec.resources.resource import Scalar

MAX_ROWS_SHOWN = 5
"""Maximum number of failing rows that a message shows per rule."""


def check_schema(schema: Mapping[str, pl.DataType], contract: Mapping[str, Column]) -> None:
    """Check that each column of a contract exists and has its declared type, and that its rules fit the type.

    An integer column satisfies `type: number`. A number column satisfies `type: integer` here, and every row is checked
    for whole numbers later: pandas stores integers as floats if one is missing. A column without any value satisfies
    every type.

    Raises
    ------
    DataError
        Lists every column that is missing, has another type, or has a rule that does not fit its type.
    """
    faults = []
    for column, rules in contract.items():
        if column not in schema:
            # A column that is declared itself is not the one that was meant.
            others = [name for name in schema if name not in contract] or list(schema)
            faults.append(f"there is no column {column!r}{suggest_name(column, others)}")
            continue
        actual = column_type(schema[column])
        if rules.type not in (None, actual) and {actual, rules.type} != {"integer", "number"} and actual != "null":
            faults.append(f"column {column!r} is {actual}, but the spec declares type: {rules.type}")
            continue
        try:
            list(_compile_rules(column, rules, schema[column]))
        except TypeError as error:
            faults.append(f"column {column!r} is {actual}, but {error}")
    if faults:
        raise DataError(_format_faults("the columns are not as the spec declares them", faults))


def refuse_pattern_names(columns: Iterable[str], where: str) -> None:
    """Raise a DataError if polars would take the name of a column for a pattern of columns: "*" or "^…$"."""
    for name in columns:
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise DataError(
                f"{where} has a column {name!r}: polars takes this name for a pattern of columns; rename it"
            )


def verify_contract(table: Table) -> None:
    """Check every row of a table against its contract.

    A missing value (null or NaN) breaks `required` and no other rule.

    Raises
    ------
    DataError
        Lists each broken rule with its column, the number of violations and the first rows (counted from 1, per file if
        the table consists of files). Also raised if a CSV line is too short, or if polars would take the name of a
        column for a pattern of columns: "*" or "^…$".
    """
    from engine.data.files.read_faults import find_silent_fault

    with explain_read_errors(table):
        if table.files and (fault := find_silent_fault(table.files)):
            raise DataError(f"dataset {table.name!r}: {fault}")
        schema = table.frame.collect_schema()
        refuse_pattern_names(schema, f"dataset {table.name!r}")
        rules = [rule for name, column in table.columns.items() for rule in _compile_rules(name, column, schema[name])]
        if not rules:
            return
        found, rows = _count_violations(table, rules)
        broken = [(rule, count) for rule, count in zip(rules, found, strict=True) if count]
        if not broken:
            return
        # The rows themselves are searched only now, and only for the broken rules.
        faults = [
            f"column {rule.column!r}: {count} of {rows} values {'is' if count == 1 else 'are'} {rule.description}: "
            f"{_locate_violations(table, rule)}"
            for rule, count in broken
        ]
    raise DataError(_format_faults(f"dataset {table.name!r} breaks the rules of its columns", faults))


def _count_violations(table: Table, rules: Sequence["_Rule"]) -> tuple[list[int], int]:
    """Return the number of rows that break each rule, and the number of rows."""
    named = {str(i): rule for i, rule in enumerate(rules)}
    there: dict[str, int] = {}
    if table.spark:  # each executor counts in its own rows; only repeated values need all rows
        of_rows = {key: rule.count_violations() for key, rule in named.items() if rule.is_violation is not None}
        there = table.spark.sum_expressions(of_rows)
    # One plan with one count per rule: a single streaming pass over the data.
    counts = [rule.count_violations().alias(key) for key, rule in named.items() if key not in there]
    rows = table.spark.count if table.spark else None
    here: dict[str, int] = {}
    if counts or rows is None:
        here = table.frame.select(*counts, pl.len().alias("rows")).collect(engine="streaming").row(0, named=True)
    found = {**here, **there}
    return [found[key] for key in named], found["rows"] if rows is None else rows


class _Rule(NamedTuple):
    """One rule of one column.

    `value` is the column with NaN as null. `is_violation` is true in each row that breaks the rule; None for `unique`,
    which depends on all rows. `description` completes the sentence "3 of 90 values are …".
    """

    column: str
    description: str
    value: pl.Expr
    is_violation: pl.Expr | None

    def count_violations(self) -> pl.Expr:
        """Return an expression that counts the rows that break the rule; for `unique`, the surplus rows."""
        if self.is_violation is None:
            present = self.value.drop_nulls()  # n rows with d distinct values have n - d repetitions
            return present.len() - present.n_unique()
        return self.is_violation.sum()

    def first_violations(self, frame: pl.LazyFrame) -> pl.DataFrame:
        """Return the first rows that break the rule, with the columns `row` (from 1) and `value`.

        For `unique` these are all rows of a repeated value, including the first, so that a message shows what repeats.
        """
        numbered = frame.select(self.value.alias("value"), self._violation_column()).with_row_index("row", offset=1)
        return numbered.filter("bad").select("row", "value").head(MAX_ROWS_SHOWN).collect(engine="streaming")

    def _violation_column(self) -> pl.Expr:
        bad = self.value.is_duplicated() & self.value.is_not_null() if self.is_violation is None else self.is_violation
        return bad.alias("bad")


def _compile_rules(name: str, column: Column, dtype: pl.DataType) -> Iterator[_Rule]:
    """Compile the rules of one column to polars expressions.

    Raises
    ------
    TypeError
        A rule does not fit the type; the message completes "column 'x' is text, but …".
    """
    value = pl.col(name).fill_nan(None) if dtype.is_float() else pl.col(name)
    if column.required:
        # The column itself is shown, so that a message distinguishes NaN from null.
        yield _Rule(name, "missing, but the column is required", pl.col(name), value.is_null())
    if dtype == pl.Null:
        return
    if column.type == "integer" and column_type(dtype) == "number":
        number = value.cast(pl.Float64)
        whole = number.is_finite() & (number == number.floor())
        yield _Rule(name, "not whole, but the column is declared as integer", value, ~whole)
    # A comparison with null is null, which sum() counts as 0: missing values break neither min nor max.
    if column.min is not None:
        yield _Rule(
            name,
            f"below min {_drop_zero_fraction(column.min)}",
            value,
            value < _bound_literal("min", column.min, dtype),
        )
    if column.max is not None:
        yield _Rule(
            name,
            f"above max {_drop_zero_fraction(column.max)}",
            value,
            value > _bound_literal("max", column.max, dtype),
        )
    if column.allowed is not None:
        shown = join_some(map(repr, column.allowed), MAX_ROWS_SHOWN)
        legal = _cast_allowed_values(column.allowed, dtype)
        # Categories and enums are compared as text: their type rejects values that they do not list.
        compared = value.cast(pl.String) if column_type(dtype) == "text" else value
        yield _Rule(name, f"not in allowed ({shown})", value, ~compared.is_in(legal.implode()) & value.is_not_null())
    if column.unique:
        yield _Rule(name, "equal to an earlier one, but the column must be unique", value, None)


def _bound_literal(rule: str, bound: float | date, dtype: pl.DataType) -> pl.Expr:
    """Return a bound as a literal that polars can compare with the column.

    A bound of a duration is in seconds; a datetime without a time zone gets that of the column.

    Raises
    ------
    TypeError
        The bound cannot be compared with values of the column's type.
    """
    actual = column_type(dtype)
    if actual in ("integer", "number") and isinstance(bound, float):
        return pl.lit(_drop_zero_fraction(bound))
    if actual == "duration" and isinstance(bound, float):
        return pl.lit(timedelta(seconds=bound))
    # datetime is a subclass of date: a date bounds dates and datetimes, a datetime bounds datetimes only.
    if isinstance(bound, date) and (actual == "datetime" or (actual == "date" and not isinstance(bound, datetime))):
        zone = getattr(dtype, "time_zone", None)
        naive = isinstance(bound, datetime) and bound.tzinfo is None
        return pl.lit(bound).dt.replace_time_zone(zone) if zone and naive else pl.lit(bound)
    raise TypeError(f"{rule} is {_drop_zero_fraction(bound)}, which cannot be compared with it")


def _cast_allowed_values(allowed: Sequence[Scalar], dtype: pl.DataType) -> pl.Series:
    """Return the allowed values as a series that polars can compare with the column.

    Values that the exact type cannot hold (300 in an 8-bit integer) are dropped: no row can have them.
    """
    actual = column_type(dtype)
    legal = [_convert_allowed_value(actual, value) for value in allowed if value is not None]
    if actual == "text":
        return pl.Series(legal, dtype=pl.String)
    series = pl.Series(legal, dtype=pl.Float64 if actual == "number" else None, strict=False)
    zone = getattr(dtype, "time_zone", None)
    return (series.dt.replace_time_zone(zone) if zone else series).cast(dtype, strict=False).drop_nulls()


def _convert_allowed_value(type_name: str, value: Any) -> Scalar | date:
    """Return an allowed value of the spec as a Python value of the column's type.

    Raises
    ------
    TypeError
        The value is not of that type.
    """
    if type_name == "boolean" and isinstance(value, bool):
        return value
    if type_name == "integer" and type(value) in (int, float) and float(value).is_integer():
        return int(value)
    if type_name == "number" and type(value) in (int, float):
        return float(value)
    if type_name == "text" and isinstance(value, str):
        return value
    if type_name in ("date", "datetime") and isinstance(value, str):
        try:
            return (date if type_name == "date" else datetime).fromisoformat(value)
        except ValueError:
            pass
    raise TypeError(f"allowed contains {value!r}, which is not of that type")


def _drop_zero_fraction(bound: float | date) -> float | date:
    """Return a whole float as an integer, so that a message shows 300 instead of 300.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _locate_violations(table: Table, rule: _Rule) -> str:
    """List the first rows that break a rule, with their file if the table consists of files.

    Rows that repeat a value may be in different files, so `unique` is searched in the whole table.
    """
    files = table.files
    if files and rule.is_violation is None and len(files.paths) > 1:
        files = None
    frames = (frame for _, frame in files.scan_each()) if files else iter([table.frame])
    shown: list[str] = []
    for number, frame in enumerate(frames):
        found = rule.first_violations(frame)
        rows = found["row"].to_list()
        places = files.name_rows(files.paths[number], rows) if files else [f"row {row}" for row in rows]
        values = ["" if value is None else f" ({_shorten_value(value)})" for value in found["value"]]
        shown += [f"{place}{value}" for place, value in zip(places, values, strict=True)]
        if len(shown) >= MAX_ROWS_SHOWN:
            break
    return ", ".join(shown[:MAX_ROWS_SHOWN])


def _shorten_value(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _format_faults(title: str, faults: list[str]) -> str:
    return f"{title}: {faults[0]}" if len(faults) == 1 else "\n  ".join([f"{title}:", *faults])
