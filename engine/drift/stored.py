"""Convert a profile to the header and arrays of a file, and read such files, also of earlier format versions.

The content of a file is checked for consistency, because a profile with wrong counts would silently give wrong numbers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift import archive
from engine.drift.columns import Categorical, Chosen, Column, Entities, Gaps, Moments, Numerical
from engine.drift.kernels.counting import Counts, Values
from engine.drift.roles import Role
from engine.errors import StoreError

Arrays = Mapping[str, NDArray[Any]]


def parts(
    rows: int, columns: Mapping[str, Column], entities: Entities | None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of a profile; the arrays of column i are named `i.<name>`."""
    header: dict[str, Any] = {"rows": rows, "entity": entities and entities.column}
    header["columns"] = [
        [name, str(column.role), column.missing, *(_approximate(column) if isinstance(column, Numerical) else ())]
        for name, column in columns.items()
    ]
    arrays = {} if entities is None else {"entities": entities.keys, "rows": entities.rows}
    for i, column in enumerate(columns.values()):
        arrays |= {f"{i}.{name}": array for name, array in _arrays(column)}
    return header, arrays


def _approximate(column: Numerical) -> Iterator[list[float]]:
    """Yield the moments and the centre of a column that is not exact; those of an exact one follow from its values."""
    if column.gaps is not None:
        yield [*astuple(column.moments), column.gaps.centre]


def _arrays(column: Column) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the names and arrays of a column."""
    if isinstance(column, Categorical):
        yield "text", column.text
        yield "ends", column.ends
        if column.chosen is not None:
            yield "chosen", column.chosen
    else:
        yield "values", column.values
        if column.gaps is not None:
            yield "gaps", column.gaps.counts
            yield "sums", column.gaps.sums
        if column.chosen is not None:
            yield "chosen", column.chosen.at
            yield "chosen_values", column.chosen.values
    # most counts are 1: the smallest unsigned type saves seven of eight bytes
    yield "counts", column.counts.astype(np.min_scalar_type(int(column.counts.max(initial=0))))


def restored(path: Path) -> tuple[int, dict[str, Column], Entities | None]:
    """Return the number of rows, the columns and the entities from the file of a profile.

    Raises
    ------
    StoreError
        The file is missing, damaged, not a profile, or written by a newer engine.
    """
    header, arrays = archive.read(path)
    by_column: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        place, _, name = key.rpartition(".")
        by_column.setdefault(place, {})[name] = array
    try:
        rows = _whole(header["rows"])
        entities = _entities(header.get("entity") or "", by_column.get("", {}))
        columns: dict[str, Column] = {}
        for i, (name, role, missing, *approximate) in enumerate(header["columns"]):
            _sure(
                isinstance(name, str) and name not in columns, f"the column name {name!r} is not a text or occurs twice"
            )
            column_arrays = by_column.get(str(i), {})
            column = _COLUMNS[Role(role)](_whole(missing), approximate, column_arrays)
            _sure(column.present + missing == rows, f"the counts of column {name!r} do not add up to the rows")
            chosen: NDArray[Any] = column_arrays.get("chosen", np.empty(0))
            _sure(len(chosen) == (len(entities.keys) if entities else 0), f"the entities of column {name!r} do not fit")
            columns[name] = column
        _sure(entities is None or len(entities.keys) <= rows, "there are more entities than rows")
        return rows, columns, entities
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as problem:
        raise StoreError(f"{path}: damaged profile ({problem}); build the reference again") from problem


def _entities(name: str, arrays: Arrays) -> Entities | None:
    if not arrays:
        return None
    keys, rows = _array(arrays, "entities", np.uint64), _array(arrays, "rows", np.uint64)
    _sure(isinstance(name, str) and len(keys) == len(rows), "the numbers of entities and of their rows differ")
    _sure((keys[1:] > keys[:-1]).all(), "entities are not in ascending order")
    return Entities(name, keys, rows)


def _categorical(missing: int, _: list[list[Any]], arrays: Arrays) -> Categorical:
    text, counts = _array(arrays, "text", np.uint8), _counts(arrays, "counts")
    # format version 1 has the lengths of labels in place of their ends
    ends = _array(arrays, "ends", np.int64) if "ends" in arrays else np.cumsum(_array(arrays, "lengths", np.int64))
    _sure(len(ends) == len(counts) and (counts >= 1).all(), "labels and their counts do not match")
    bounds = np.concatenate([[0], ends, [len(text)]])
    _sure((bounds[1:] >= bounds[:-1]).all() and bounds[-2] == len(text), "the ends of labels do not match their text")
    at = _array(arrays, "chosen", np.int32) if "chosen" in arrays else None
    column = Categorical(text, ends, counts, missing, at)
    _sure(all(a < b for a, b in pairwise(column.labels)), "labels are not in ascending order")
    _sure(at is None or _within(at, len(counts)), "a position of an entity's label is out of range")
    return column


def _numerical(missing: int, approximate: list[list[Any]], arrays: Arrays) -> Numerical:
    values, counts = _values(arrays, "values"), _counts(arrays, "counts")
    _sure(len(values) == len(counts), "the numbers of values and of their counts differ")
    chosen = _chosen(values, arrays)
    if not approximate:
        _sure((counts >= 1).all(), "a value has a count of 0")
        return Numerical.exact(values, counts, missing, chosen)
    [[rows, *moments, centre]] = approximate
    _sure(all(type(number) in (int, float) for number in (*moments, centre)), "a moment is not a number")
    intervals = Gaps(_counts(arrays, "gaps"), _array(arrays, "sums", np.float64), centre)
    column = Numerical(values, counts, missing, Moments(_whole(rows), *moments), intervals, chosen)
    _verify(column, intervals)
    return column


_COLUMNS: Mapping[Role, Callable[[int, list[list[Any]], Arrays], Column]] = {
    Role.CATEGORICAL: _categorical,
    Role.NUMERICAL: _numerical,
}


def _verify(column: Numerical, intervals: Gaps) -> None:
    """Check that counts, sums and moments are possible: all rows lie between the minimum and the maximum."""
    moments, values = column.moments, column.values
    _sure(
        len(intervals.counts) == len(intervals.sums) == len(values) + 1,
        "the number of intervals does not match the values",
    )
    _sure(
        int(column.counts.sum() + intervals.counts.sum()) == moments.rows,
        "the counts of values and intervals do not add up to the rows",
    )
    if values.dtype == np.int64:
        _sure(
            all(isinstance(end, int) for end in (moments.low, moments.high, intervals.centre) if moments.rows),
            "minimum, maximum or centre of an integer column is not an integer",
        )
        _sure(
            all(-(2**63) <= end < 2**63 for end in (moments.low, moments.high, intervals.centre) if moments.rows),
            "minimum, maximum or centre exceeds 64 bits",
        )
    _sure(
        isfinite(moments.centre) and isfinite(intervals.centre) and (moments.low <= moments.high or not moments.rows),
        "the centre is not finite, or the minimum exceeds the maximum",
    )
    held = values[column.counts > 0]
    starts, ends = np.append(moments.low, values), np.append(values, moments.high)
    _sure((held >= moments.low).all() and (held <= moments.high).all(), "a value lies outside minimum and maximum")
    _sure(
        (((starts < moments.high) & (ends > moments.low)) | (intervals.counts == 0))[1:-1].all(),
        "an interval with rows lies outside minimum and maximum",
    )
    with np.errstate(all="ignore"):  # infinite values
        # the rows of an interval lie between its ends, and their sum between count * (end - centre); slack for rounding
        least, most = (
            np.clip(side.astype(np.float64), moments.low, moments.high) - intervals.centre for side in (starts, ends)
        )
        slack = 1e-6 * (float(moments.high) - float(moments.low)) + 1e-12 * abs(intervals.centre)
        beyond = (intervals.sums < (least - slack) * intervals.counts) | (
            intervals.sums > (most + slack) * intervals.counts
        )
    _sure(not beyond.any(), "an interval has an impossible sum")
    _sure(
        not (moments.squares < 0 or moments.mean < moments.low - slack or moments.mean > moments.high + slack),
        "the mean lies outside minimum and maximum, or the squared deviations are negative",
    )


def _chosen(column: Values, arrays: Arrays) -> Chosen | None:
    if "chosen" not in arrays:
        return None
    at = _array(arrays, "chosen", np.int32)
    values = _values(arrays, "chosen_values") if "chosen_values" in arrays else column
    _sure(_within(at, len(values)) and values.dtype == column.dtype, "the values of entities do not match the column")
    if "chosen_values" in arrays:
        return Chosen(values, at)
    # format version 1 has positions in the column's own values
    used, to = np.unique(at, return_inverse=True)
    return Chosen(values[used[used >= 0]], (to - (used < 0).sum()).astype(np.int32))


def _array(arrays: Arrays, name: str, *types: type[np.generic]) -> NDArray[Any]:
    _sure(arrays[name].dtype in types, f"the array {name!r} has type {arrays[name].dtype}")
    return arrays[name]


def _values(arrays: Arrays, name: str) -> Values:
    values = _array(arrays, name, np.float64, np.int64)
    # NaN is the only value that does not equal itself
    _sure((values == values).all() and (values[1:] > values[:-1]).all(), "values are not in ascending order")  # noqa: PLR0124
    values += values.dtype.type(0)  # turns -0.0 into 0.0, which format version 1 may contain
    return values


def _counts(arrays: Arrays, name: str) -> Counts:
    counts = arrays[name]
    _sure(
        counts.dtype.kind in "iu" and counts.min(initial=0) >= 0, f"the array {name!r} is not of integers of at least 0"
    )
    _sure(counts.sum(dtype=np.float64) < 2**62, f"the array {name!r} adds up to 2**62 or more rows")
    return counts.astype(np.int64)


def _whole(number: Any) -> int:
    _sure(type(number) is int and 0 <= number < 2**62, f"{number!r} is not a number of rows")
    return int(number)


def _within(at: NDArray[Any], size: int) -> bool:
    return bool(((at >= -1) & (at < size)).all())


def _sure(holds: object, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
