"""Convert a profile to the header and arrays of a file, and read such files, also of earlier format versions.

The content of a file is checked for consistency, because wrong counts would silently give wrong results.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.columns import Column, Entities
from engine.drift.distributions.entity_rows import EntityRows
from engine.drift.distributions.intervals import GridIntervals
from engine.drift.distributions.moments import Moments
from engine.drift.distributions.numerical import Numerical
from engine.drift.distributions.quantile_grid import GRID_POINTS, GridPlan
from engine.drift.distributions.value_table import ValueTable
from engine.drift.kernels.value_tables import Counts, Values, share_ones
from engine.drift.profiles import archive
from engine.drift.reading.normalization import Role

FEWEST_PLANNED_VALUES = 1 << 16
"""Fewest distinct values of a column whose grid is saved: fitting it takes longer than reading it."""

Arrays = Mapping[str, NDArray[Any]]


def to_arrays(
    rows: int, columns: Mapping[str, Column], entities: Entities | None, types: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of a profile; the arrays of column i are named `i.<name>`."""
    header: dict[str, Any] = {"rows": rows, "entity": entities and entities.column}
    header["columns"] = [
        [name, str(column.role), column.missing, *(_grid_numbers(column) if isinstance(column, Numerical) else ())]
        for name, column in columns.items()
    ]
    if types:
        header["types"] = dict(types)
    if entities is not None and entities.hashes:
        header["hashes"] = entities.hashes
    arrays = {} if entities is None else {"entities": entities.keys, "rows": entities.row_hashes}
    for i, column in enumerate(columns.values()):
        arrays |= {f"{i}.{name}": array for name, array in _column_arrays(column)}
    return header, arrays


def plan_arrays(columns: Mapping[str, Column]) -> dict[str, NDArray[Any]]:
    """Return the arrays of the grids on which samples are counted for a comparison with these columns.

    They are not part of the content: engine versions that do not know them fit the same grids again.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for i, column in enumerate(columns.values()):
        if isinstance(column, Numerical) and not column.intervals and column.table.size >= FEWEST_PLANNED_VALUES:
            plan = column.quantile_grid(GRID_POINTS).plan
            arrays[f"{i}.grid"] = plan.positions
            arrays[f"{i}.map"] = np.append([plan.by_bits, plan.low, plan.scale], plan.cells.astype(np.float64))
    return arrays


def _grid_numbers(column: Numerical) -> Iterator[list[float]]:
    """Yield the moments and the centre of an inexact column; those of an exact column follow from its values."""
    if column.intervals is not None:
        yield [*astuple(column.moments), column.intervals.centre]


def _column_arrays(column: Column) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the names and arrays of a column."""
    if isinstance(column, Categorical):
        yield "text", column.text
        yield "ends", column.ends
        if column.entity_rows is not None:
            yield "chosen", column.entity_rows
    else:
        yield "values", column.values
        if column.intervals is not None:
            yield "gaps", column.intervals.counts
            yield "sums", column.intervals.sums
        if column.entity_rows is not None:
            yield "chosen", column.entity_rows.positions
            yield "chosen_values", column.entity_rows.values
    # most counts are 1: the smallest unsigned type saves seven of eight bytes
    yield "counts", column.counts.astype(np.min_scalar_type(int(column.counts.max(initial=0))))


def read_profile(path: Path) -> tuple[int, dict[str, Column], Entities | None, dict[str, str]]:
    """Return the number of rows, the columns, the entities and the columns' types from the file of a profile.

    Raises
    ------
    StoreError
        The file is missing, damaged, not a profile, or written by a newer engine.
    """
    file = archive.Archive(path)
    header = file.header
    try:
        rows = _require_row_count(header["rows"])
        entities = _parse_entities(header.get("entity") or "", header.get("hashes", ""), archive.ArrayGroup(file, ""))
        columns: dict[str, Column] = {}
        for i, (name, role, missing, *approximate) in enumerate(header["columns"]):
            _require(
                isinstance(name, str) and name not in columns, f"the column name {name!r} is not a text or occurs twice"
            )
            column_arrays = archive.ArrayGroup(file, f"{i}.")
            column = _COLUMN_PARSERS[Role(role)](_require_row_count(missing), approximate, column_arrays)
            _require(column.present + missing == rows, f"the counts of column {name!r} do not add up to the rows")
            _require(
                _count_entity_rows(column) == (len(entities.keys) if entities else 0),
                f"the entities of column {name!r} do not fit",
            )
            columns[name] = column
        _require(entities is None or len(entities.keys) <= rows, "there are more entities than rows")
        types = header.get("types", {})
        _require(
            isinstance(types, dict)
            and all(type(kind) is str for kind in types.values())
            and types.keys() <= columns.keys(),
            "the types do not belong to the columns",
        )
        file.read_rest()
        return rows, columns, entities, types
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as problem:
        raise file.describe_damage(problem) from problem


def _parse_entities(name: str, hashes: str, arrays: Arrays) -> Entities | None:
    if "entities" not in arrays:
        return None
    keys, rows = _require_array(arrays, "entities", np.uint64), _require_array(arrays, "rows", np.uint64)
    _require(isinstance(name, str) and len(keys) == len(rows), "the numbers of entities and of their rows differ")
    _require(isinstance(hashes, str), "the version of the hashes of entities is not a text")
    _require((keys[1:] > keys[:-1]).all(), "entities are not in ascending order")
    return Entities(name, keys, rows, hashes)


def _parse_categorical(missing: int, _: list[list[Any]], arrays: Arrays) -> Categorical:
    text, counts = _require_array(arrays, "text", np.uint8), _require_counts(arrays, "counts")
    # format version 1 has the lengths of labels in place of their ends
    ends = (
        _require_array(arrays, "ends", np.int64)
        if "ends" in arrays
        else np.cumsum(_require_array(arrays, "lengths", np.int64))
    )
    _require(len(ends) == len(counts) and (counts >= 1).all(), "labels and their counts do not match")
    bounds = np.concatenate([[0], ends, [len(text)]])
    _require(
        (bounds[1:] >= bounds[:-1]).all() and bounds[-2] == len(text), "the ends of labels do not match their text"
    )
    entity_rows = _require_array(arrays, "chosen", np.int32) if "chosen" in arrays else None
    column = Categorical(text, ends, counts, missing, entity_rows)
    _require(all(a < b for a, b in pairwise(column.labels)), "labels are not in ascending order")
    _require(
        entity_rows is None or _all_in_range(entity_rows, len(counts)),
        "a position of an entity's label is out of range",
    )
    return column


def _parse_numerical(missing: int, approximate: list[list[Any]], arrays: Arrays) -> Numerical:
    values, counts = _read_table(arrays)
    entity_rows = _parse_entity_rows(values, arrays)
    if not approximate:
        _require((counts >= 1).all(), "a value has a count of 0")
        plan = _parse_plan(len(values), arrays)
        if plan is None:
            return Numerical.exact(values, counts, missing, entity_rows)
        column = Numerical.exact(values, counts, missing, entity_rows, plan, lambda: _reread_table(arrays))
        column.quantile_grid(plan.buckets)
        column.table.release()  # a batch is counted on the grid; the table is needed only after that
        return column
    [[rows, *moments, centre]] = approximate
    _require(all(type(number) in (int, float) for number in (*moments, centre)), "a moment is not a number")
    intervals = GridIntervals(_require_counts(arrays, "gaps"), _require_array(arrays, "sums", np.float64), centre)
    known = Moments(_require_row_count(rows), *moments)
    column = Numerical(ValueTable(values, counts), missing, known, intervals, entity_rows)
    _require_consistent_column(column, intervals)
    return column


def _read_table(arrays: Arrays) -> tuple[Values, Counts]:
    """Return the distinct values of a column and their counts."""
    values, counts = _require_values(arrays, "values"), _require_counts(arrays, "counts")
    _require(len(values) == len(counts), "the numbers of values and of their counts differ")
    return values, share_ones(counts)


def _reread_table(arrays: Arrays) -> tuple[Values, Counts]:
    """Return the same table without checks: it was checked before, and the archive's checksums detect changes."""
    return _normalize_zeros(arrays["values"]), share_ones(arrays["counts"]).astype(np.int64, copy=False)


def _count_entity_rows(column: Column) -> int:
    rows = column.entity_rows
    return 0 if rows is None else len(rows.positions if isinstance(rows, EntityRows) else rows)


def _parse_plan(values: int, arrays: Arrays) -> GridPlan | None:
    if "grid" not in arrays:
        return None
    by_bits, low, scale, *_ = numbers = _require_array(arrays, "map", np.float64)
    with np.errstate(over="ignore"):
        cells = np.ascontiguousarray(numbers[3:].reshape(-1, 4), np.float32)
    plan = GridPlan(_require_array(arrays, "grid", np.int64), bool(by_bits), float(low), float(scale), cells)
    problem = plan.find_problem(values)
    _require(not problem, problem)
    return plan


_COLUMN_PARSERS: Mapping[Role, Callable[[int, list[list[Any]], Arrays], Column]] = {
    Role.CATEGORICAL: _parse_categorical,
    Role.NUMERICAL: _parse_numerical,
}


def _require_consistent_column(column: Numerical, intervals: GridIntervals) -> None:
    """Check that counts, sums and moments are possible: all rows lie between the minimum and the maximum."""
    moments, values = column.moments, column.values
    _require(
        len(intervals.counts) == len(intervals.sums) == len(values) + 1,
        "the number of intervals does not match the values",
    )
    _require(
        int(column.counts.sum() + intervals.counts.sum()) == moments.rows,
        "the counts of values and intervals do not add up to the rows",
    )
    if values.dtype == np.int64:
        _require(
            all(isinstance(end, int) for end in (moments.low, moments.high, intervals.centre) if moments.rows),
            "minimum, maximum or centre of an integer column is not an integer",
        )
        _require(
            all(-(2**63) <= end < 2**63 for end in (moments.low, moments.high, intervals.centre) if moments.rows),
            "minimum, maximum or centre exceeds 64 bits",
        )
    _require(
        isfinite(moments.centre) and isfinite(intervals.centre) and (moments.low <= moments.high or not moments.rows),
        "the centre is not finite, or the minimum exceeds the maximum",
    )
    with_rows = values[column.counts > 0]
    starts, ends = np.append(moments.low, values), np.append(values, moments.high)
    _require(
        (with_rows >= moments.low).all() and (with_rows <= moments.high).all(),
        "a value lies outside minimum and maximum",
    )
    _require(
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
    _require(not beyond.any(), "an interval has an impossible sum")
    _require(
        not (moments.squares < 0 or moments.mean < moments.low - slack or moments.mean > moments.high + slack),
        "the mean lies outside minimum and maximum, or the squared deviations are negative",
    )


def _parse_entity_rows(column: Values, arrays: Arrays) -> EntityRows | None:
    if "chosen" not in arrays:
        return None
    positions = _require_array(arrays, "chosen", np.int32)
    values = _require_values(arrays, "chosen_values") if "chosen_values" in arrays else column
    _require(
        _all_in_range(positions, len(values)) and values.dtype == column.dtype,
        "the values of entities do not match the column",
    )
    if "chosen_values" in arrays:
        return EntityRows(values, positions)
    # in format version 1 they are positions in the values of the column; if some are missing, -1 is the first one used
    used, new_positions = np.unique(positions, return_inverse=True)
    return EntityRows(values[used[used >= 0]], (new_positions - (used < 0).sum()).astype(np.int32))


def _require_array(arrays: Arrays, name: str, *types: type[np.generic]) -> NDArray[Any]:
    array = arrays[name]
    _require(array.dtype in types, f"the array {name!r} has type {array.dtype}")
    return array


def _require_values(arrays: Arrays, name: str) -> Values:
    values = _require_array(arrays, name, np.float64, np.int64)
    # NaN is the only value that does not equal itself
    _require((values == values).all() and (values[1:] > values[:-1]).all(), "values are not in ascending order")  # noqa: PLR0124
    return _normalize_zeros(values)


def _normalize_zeros(values: Values) -> Values:
    """Turn -0.0 into 0.0, which format version 1 may contain."""
    values += values.dtype.type(0)
    return values


def _require_counts(arrays: Arrays, name: str) -> Counts:
    counts = arrays[name]
    _require(
        counts.dtype.kind in "iu" and counts.min(initial=0) >= 0, f"the array {name!r} is not of integers of at least 0"
    )
    _require(counts.sum(dtype=np.float64) < 2**62, f"the array {name!r} adds up to 2**62 or more rows")
    return counts.astype(np.int64)


def _require_row_count(number: Any) -> int:
    _require(type(number) is int and 0 <= number < 2**62, f"{number!r} is not a number of rows")
    return int(number)


def _all_in_range(positions: NDArray[Any], size: int) -> bool:
    """Return whether all positions are in an array of `size` elements, or -1 for a missing value."""
    return bool(((positions >= -1) & (positions < size)).all())


def _require(holds: object, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
