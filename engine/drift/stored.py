"""A profile as a JSON header and named arrays, and back: what a file holds, of this version and of earlier ones.

What is read is checked to hold together: a profile with wrong counts would give wrong numbers and say nothing.
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
    """Return the header and the arrays of a profile."""
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
    """Give what is not in the arrays; the moments of an exact column follow from its values."""
    if column.gaps is not None:
        yield [*astuple(column.moments), column.gaps.centre]


def _arrays(column: Column) -> Iterator[tuple[str, NDArray[Any]]]:
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
    # most counts are 1
    yield "counts", column.counts.astype(np.min_scalar_type(int(column.counts.max(initial=0))))


def restored(path: Path) -> tuple[int, dict[str, Column], Entities | None]:
    """Return the rows, columns and entities of a profile that was written to a file.

    Raises
    ------
    StoreError
        The file is missing, damaged, no profile, or newer than this engine.
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
            _sure(isinstance(name, str) and name not in columns, f"a column is named {name!r}")
            its = by_column.get(str(i), {})
            column = _COLUMNS[Role(role)](_whole(missing), approximate, its)
            _sure(column.present + missing == rows, f"the counts of column {name!r} do not add up")
            chosen: NDArray[Any] = its.get("chosen", np.empty(0))
            _sure(len(chosen) == (len(entities.keys) if entities else 0), f"the entities of column {name!r} do not fit")
            columns[name] = column
        _sure(entities is None or len(entities.keys) <= rows, "more entities than rows")
        return rows, columns, entities
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as problem:
        raise StoreError(f"{path}: damaged profile ({problem}); build the reference again") from problem


def _entities(name: str, arrays: Arrays) -> Entities | None:
    if not arrays:
        return None
    keys, rows = _array(arrays, "entities", np.uint64), _array(arrays, "rows", np.uint64)
    _sure(isinstance(name, str) and len(keys) == len(rows), "entities and their rows differ in number")
    _sure((keys[1:] > keys[:-1]).all(), "entities are not in order")
    return Entities(name, keys, rows)


def _categorical(missing: int, _: list[list[Any]], arrays: Arrays) -> Categorical:
    text, counts = _array(arrays, "text", np.uint8), _counts(arrays, "counts")
    # version 1 has lengths
    ends = _array(arrays, "ends", np.int64) if "ends" in arrays else np.cumsum(_array(arrays, "lengths", np.int64))
    _sure(len(ends) == len(counts) and (counts >= 1).all(), "labels and their counts do not fit")
    bounds = np.concatenate([[0], ends, [len(text)]])
    _sure((bounds[1:] >= bounds[:-1]).all() and bounds[-2] == len(text), "labels do not fit")
    at = _array(arrays, "chosen", np.int32) if "chosen" in arrays else None
    column = Categorical(text, ends, counts, missing, at)
    _sure(all(a < b for a, b in pairwise(column.labels)), "labels are not in order")
    _sure(at is None or _within(at, len(counts)), "entities do not fit")
    return column


def _numerical(missing: int, approximate: list[list[Any]], arrays: Arrays) -> Numerical:
    values, counts = _values(arrays, "values"), _counts(arrays, "counts")
    _sure(len(values) == len(counts), "values and their counts differ in number")
    chosen = _chosen(values, arrays)
    if not approximate:
        _sure((counts >= 1).all(), "values and their counts do not fit")
        return Numerical.exact(values, counts, missing, chosen)
    [[rows, *moments, centre]] = approximate
    _sure(all(type(number) in (int, float) for number in (*moments, centre)), "no numbers")
    gaps = Gaps(_counts(arrays, "gaps"), _array(arrays, "sums", np.float64), centre)
    column = Numerical(values, counts, missing, Moments(_whole(rows), *moments), gaps, chosen)
    _verify(column, gaps)
    return column


_COLUMNS: Mapping[Role, Callable[[int, list[list[Any]], Arrays], Column]] = {
    Role.CATEGORICAL: _categorical,
    Role.NUMERICAL: _numerical,
}


def _verify(column: Numerical, gaps: Gaps) -> None:
    """Check that rows lie where they can: on values and in gaps between the smallest and the largest."""
    m, values = column.moments, column.values
    _sure(len(gaps.counts) == len(gaps.sums) == len(values) + 1, "gaps do not fit")
    _sure(int(column.counts.sum() + gaps.counts.sum()) == m.rows, "values, gaps and rows do not fit")
    if values.dtype == np.int64:
        _sure(all(isinstance(end, int) for end in (m.low, m.high, gaps.centre) if m.rows), "whole numbers with ends")
        _sure(all(-(2**63) <= end < 2**63 for end in (m.low, m.high, gaps.centre) if m.rows), "ends beyond 64 bits")
    _sure(isfinite(m.centre) and isfinite(gaps.centre) and (m.low <= m.high or not m.rows), "no ends")
    held = values[column.counts > 0]
    starts, ends = np.append(m.low, values), np.append(values, m.high)
    _sure((held >= m.low).all() and (held <= m.high).all(), "values beyond the ends")
    _sure((((starts < m.high) & (ends > m.low)) | (gaps.counts == 0))[1:-1].all(), "gaps beyond the ends")
    with np.errstate(all="ignore"):  # infinite ones
        least, most = (np.clip(side.astype(np.float64), m.low, m.high) - gaps.centre for side in (starts, ends))
        slack = 1e-6 * (float(m.high) - float(m.low)) + 1e-12 * abs(gaps.centre)
        beyond = (gaps.sums < (least - slack) * gaps.counts) | (gaps.sums > (most + slack) * gaps.counts)
    _sure(not beyond.any(), "sums that the gaps cannot have")
    _sure(not (m.squares < 0 or m.mean < m.low - slack or m.mean > m.high + slack), "a mean beyond the ends")


def _chosen(column: Values, arrays: Arrays) -> Chosen | None:
    if "chosen" not in arrays:
        return None
    at = _array(arrays, "chosen", np.int32)
    values = _values(arrays, "chosen_values") if "chosen_values" in arrays else column
    _sure(_within(at, len(values)) and values.dtype == column.dtype, "entities do not fit")
    if "chosen_values" in arrays:
        return Chosen(values, at)
    # version 1 has places in the column's own values
    used, to = np.unique(at, return_inverse=True)
    return Chosen(values[used[used >= 0]], (to - (used < 0).sum()).astype(np.int32))


def _array(arrays: Arrays, name: str, *types: type[np.generic]) -> NDArray[Any]:
    _sure(arrays[name].dtype in types, f"{name} of type {arrays[name].dtype}")
    return arrays[name]


def _values(arrays: Arrays, name: str) -> Values:
    values = _array(arrays, name, np.float64, np.int64)
    # what is not NaN equals itself
    _sure((values == values).all() and (values[1:] > values[:-1]).all(), "values are not in order")  # noqa: PLR0124
    values += values.dtype.type(0)  # version 1 may have -0.0
    return values


def _counts(arrays: Arrays, name: str) -> Counts:
    counts = arrays[name]
    _sure(counts.dtype.kind in "iu" and counts.min(initial=0) >= 0, f"{name} below 0")
    _sure(counts.sum(dtype=np.float64) < 2**62, f"{name} of more rows than there are")
    return counts.astype(np.int64)


def _whole(number: Any) -> int:
    _sure(type(number) is int and 0 <= number < 2**62, f"{number!r} rows")
    return int(number)


def _within(at: NDArray[Any], size: int) -> bool:
    return bool(((at >= -1) & (at < size)).all())


def _sure(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
