"""Apply the disturbances of a drill to the rows of a batch: values are shifted, missing, shuffled; rows are left out.

The affected rows are chosen by a seeded hash of their content, never by position: the same rows in any order give the
same result. A share is exact: of n rows, round(share * n) are affected. The seed is derived from the disturbance, so it
affects the same rows whatever other disturbances are applied.

The hashes of all rows are in memory, 8 bytes each, and the values of a shuffled column; everything else is streamed.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.digests import digest_json
from engine.drift.kernels.sampling_keys import make_keys
from engine.drift.kernels.value_hashes import Hashes
from engine.drift.profiles.sampling import make_row_keys
from engine.drift.reading.blocks import count_frame_rows
from engine.drift.reading.column_families import column_type, name_type
from engine.drift.reading.normalization import column_named
from engine.drift.reading.row_hash import row_content_hash
from engine.errors import UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.numbers import format_number, format_seconds
from engine.spec.disturbances import Disturbance

_CHOSEN = "\0chosen"
_NUMBERS = ("integer", "number")
_TIMES = ("date", "datetime", "duration")
_WIDE = (pl.UInt64, pl.Int128, pl.UInt128)


def require_possible(disturbances: Sequence[Disturbance], schema: pl.Schema, dataset: str) -> None:
    """Raise a UsageError for the first disturbance that the columns of a dataset do not allow."""
    columns = dict(schema)
    for one in disturbances:
        if one.kind == "rows":
            continue
        if one.column not in columns:
            hint = "; it is dropped before" if one.column in schema else suggest_name(one.column, list(columns))
            raise UsageError(f"{one.option}: dataset {dataset!r} has no column {one.column!r}{hint}")
        if reason := _explain_unfit(one, columns[one.column]):
            raise UsageError(f"{one.option}: column {one.column!r} of dataset {dataset!r} {reason}")
        if one.kind == "drop":
            del columns[one.column]


def _explain_unfit(one: Disturbance, dtype: pl.DataType) -> str:
    """Return why the type of a column does not allow a disturbance; an empty text if it does."""
    family, named = column_type(dtype), f"holds values of type {name_type(dtype)}"
    if one.kind == "scale" and family not in _NUMBERS:
        return f"{named}: only numbers can be multiplied"
    if one.kind == "shift":
        if family in _TIMES and one.unit != "seconds":
            return f"{named}: shift it by a time, such as {one.column}=+3d"
        if family == "date" and one.amount % 86_400:
            return f"{named}, which have no time of day: shift it by whole days, such as {one.column}=+3d"
        if family in _NUMBERS and one.unit == "seconds":
            return f"{named}: shift it by {one.column}=+0.5sd, {one.column}=+10% or {one.column}=-3"
        if family not in (*_NUMBERS, *_TIMES):
            return f"{named}: only numbers and times can be shifted; --category sets values, --missing takes some away"
        if family == "integer" and one.unit == "" and not round(one.added):
            return f"{named}: {format_number(one.added)}, rounded to a whole number, changes nothing"
    if one.kind == "category":
        try:
            _read_value(one.value, dtype)
        except ValueError:
            return f"{named}, and {one.value!r} is none"
        except KeyError:
            return f"{named}: a value can be set in columns of text, booleans, numbers and dates"
    return ""


def require_deviations(disturbances: Sequence[Disturbance], schema: pl.Schema) -> None:
    """Raise a UsageError if standard deviations, which are now known, round to zero in whole numbers."""
    for one in disturbances:
        if one.unit == "sd" and schema.get(one.column, pl.Null()).is_integer() and not round(one.added):
            raise UsageError(
                f"{one.option}: column {one.column!r} holds whole numbers, and {one.amount:g} standard deviations of "
                f"the reference are {format_number(one.added)}, which rounds to 0 and changes nothing"
            )


def disturb_rows(frame: pl.LazyFrame, disturbances: Sequence[Disturbance]) -> pl.LazyFrame:
    """Return the frame with its disturbances, applied in order.

    The frame must be cheap to read more than once, and give its rows in the same order each time.
    """
    for _, _, after in _iterate_stages(frame, disturbances):
        frame = after
    return frame


def describe_disturbances(frame: pl.LazyFrame, disturbances: Sequence[Disturbance]) -> list[str]:
    """Return a description of each disturbance, with the number of rows that it changes."""
    return [_describe_stage(*stage) for stage in _iterate_stages(frame, disturbances)]


def _iterate_stages(
    frame: pl.LazyFrame, disturbances: Sequence[Disturbance]
) -> Iterator[tuple[Disturbance, pl.LazyFrame, pl.LazyFrame]]:
    """Yield each disturbance with the rows before and after it."""
    content = frame.select(row_content_hash(frame.collect_schema().names()))
    # numbered once: rows that were equal may differ after the first disturbance, and are no longer interchangeable
    numbers = make_row_keys(content.collect(engine="streaming").to_series().to_numpy(), 0)
    for one in disturbances:
        before = frame
        if one.kind == "rows":
            chosen = _choose_rows(numbers, one, min(int(one.amount), len(numbers)))
            frame, numbers = _mark_rows(frame, chosen).filter(_CHOSEN).drop(_CHOSEN), numbers[chosen]
        elif one.kind == "drop":
            frame = frame.select(column_named(name) for name in frame.collect_schema() if name != one.column)
        elif one.kind == "shuffle":
            frame = _shuffle_values(frame, numbers, one)
        elif one.kind in ("missing", "category"):
            chosen = _choose_rows(numbers, one, round(one.amount * len(numbers)))
            frame = _mark_rows(frame, chosen).with_columns(_set_value(frame, one)).drop(_CHOSEN)
        else:
            frame = frame.with_columns(_move_values(one, frame.collect_schema()[one.column]))
        yield one, before, frame


def _choose_rows(numbers: Hashes, one: Disturbance, count: int) -> NDArray[np.bool_]:
    """Return the mask of affected rows: the first `count` ones in the order of the disturbance."""
    chosen = np.zeros(len(numbers), np.bool_)
    chosen[_order_rows(numbers, one)[:count]] = True
    return chosen


def _order_rows(numbers: Hashes, one: Disturbance, purpose: str = "") -> NDArray[np.intp]:
    """Return the positions of the rows in a random order that depends on the disturbed column, not on the amount."""
    seed = int(digest_json([one.kind, one.column, one.value, purpose])[:16], 16)
    return np.argsort(make_keys(numbers, np.zeros_like(numbers), np.uint64(seed)))


def _mark_rows(frame: pl.LazyFrame, chosen: NDArray[np.bool_]) -> pl.LazyFrame:
    return pl.concat([frame, pl.LazyFrame({_CHOSEN: chosen})], how="horizontal")


def _set_value(frame: pl.LazyFrame, one: Disturbance) -> pl.Expr:
    """Return the column with a value, or with a missing one, in the chosen rows."""
    dtype, column = frame.collect_schema()[one.column], column_named(one.column)
    if one.kind == "missing":
        return pl.when(pl.col(_CHOSEN)).then(None).otherwise(column).alias(one.column)
    if column_type(dtype) == "text":  # an enum cannot hold a new value
        column, dtype = column.cast(pl.String), pl.String()
    elif column_type(dtype) == "integer":  # a narrow integer may not hold it either
        dtype = _widen_integers(dtype)
        column = column.cast(dtype)
    value = pl.lit(_read_value(one.value, dtype)).cast(dtype)
    return pl.when(pl.col(_CHOSEN)).then(value).otherwise(column).alias(one.column)


def _read_value(text: str, dtype: pl.DataType) -> str | bool | int | float | date:
    """Return a text as a value of a type; raises ValueError if it is not one, KeyError if the type is not supported."""
    return _READERS[column_type(dtype)](text)


def _read_boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _read_integer(text: str) -> int:
    if not -(2**63) <= int(text) < 2**63:
        raise ValueError(text)
    return int(text)


_READERS: dict[str, Callable[[str], str | bool | int | float | date]] = {
    "text": str,
    "boolean": _read_boolean,
    "integer": _read_integer,
    "number": float,
    "date": date.fromisoformat,
}


def _move_values(one: Disturbance, dtype: pl.DataType) -> pl.Expr:
    """Return the column with its values shifted or multiplied, in its own type; integers may become wider."""
    column = column_named(one.column)
    if column_type(dtype) in _TIMES:
        return (column + timedelta(seconds=one.added)).cast(dtype).alias(one.column)
    factor = one.amount if one.kind == "scale" else 1 + one.added if one.unit == "%" else None
    if not dtype.is_integer():
        moved = column.cast(pl.Float64)
        moved = moved + one.added if factor is None else moved * factor
        return (moved.round(getattr(dtype, "scale", 0)) if dtype.is_decimal() else moved).cast(dtype).alias(one.column)
    wide = _widen_integers(dtype)
    if factor is None:
        moved = column.cast(pl.Int128) + round(one.added)
    else:
        moved = (column.cast(pl.Float64) * factor).round().clip(-1e38, 1e38).cast(pl.Int128)
    if wide == pl.Int64:
        moved = moved.clip(-(2**63), 2**63 - 1)
    return moved.cast(wide).alias(one.column)


def _widen_integers(dtype: pl.DataType) -> pl.DataType:
    return pl.Int128() if dtype in _WIDE else pl.Int64()


def _shuffle_values(frame: pl.LazyFrame, numbers: Hashes, one: Disturbance) -> pl.LazyFrame:
    """Return the frame with the values of a column exchanged between its rows.

    Rows in one random order get the values in another random order, so that their own order does not matter.
    """
    taken = np.empty(len(numbers), np.int64)
    taken[_order_rows(numbers, one, "to")] = _order_rows(numbers, one, "from")
    values = frame.select(column_named(one.column).alias(_CHOSEN)).collect(engine="streaming").to_series()
    shuffled = values.gather(taken).to_frame().lazy()
    moved = pl.concat([frame, shuffled], how="horizontal")
    return moved.with_columns(pl.col(_CHOSEN).alias(one.column)).drop(_CHOSEN)


def _describe_stage(one: Disturbance, before: pl.LazyFrame, after: pl.LazyFrame) -> str:
    rows = count_frame_rows(after)
    if one.kind == "rows":
        return f"{rows:,} of {count_frame_rows(before):,} rows were kept"
    if one.kind == "drop":
        return f"{one.column}: dropped"
    both = [
        frame.select(_compare_as(one.column, frame.collect_schema()[one.column]).alias(side))
        for side, frame in (("0", before), ("1", after))
    ]
    changed = pl.concat(both, how="horizontal").select(pl.col("0").ne_missing(pl.col("1")).sum())
    return f"{one.column}: {_describe_change(one, before)} in {changed.collect().item():,} of {rows:,} rows"


def _compare_as(name: str, dtype: pl.DataType) -> pl.Expr:
    return column_named(name).cast(pl.String) if column_type(dtype) == "text" else column_named(name)


def _describe_change(one: Disturbance, frame: pl.LazyFrame) -> str:
    if one.kind == "missing":
        return "made missing"
    if one.kind == "category":
        return f"set to {one.value}"
    if one.kind == "shuffle":
        return "exchanged among the rows, which gave it another value"
    factor = one.amount if one.kind == "scale" else one.added
    whole = frame.collect_schema()[one.column].is_integer() and (one.unit == "%" or factor != round(factor))
    rounded = ", rounded to whole numbers," if whole else ""
    if one.kind == "scale":
        return f"multiplied by {format_number(one.amount)}{rounded}"
    if one.unit == "sd":
        many = f"{one.amount:+g} standard deviations of the reference"
        return f"shifted by {many}, which are {format_number(one.added)}{rounded or ','}"
    if one.unit == "seconds":
        return f"shifted by {'-' if one.amount < 0 else '+'}{format_seconds(abs(one.amount))}"
    return f"shifted by {one.amount:+g}{'%' if one.unit == '%' else ''}{rounded}"
