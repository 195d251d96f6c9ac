"""A profile as a JSON header and named arrays, and back: what a file holds, of this version and of earlier ones.

What is read is checked to hold together: a profile with wrong counts would give wrong numbers and say nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift import archive
from engine.drift.columns import Categorical, Chosen, Column, Entities, Gaps, Moments, Numerical
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
    try:
        entities = None
        if "entities" in arrays:
            entities = Entities(header.get("entity") or "", arrays["entities"], arrays["rows"])
            _sure(len(entities.keys) == len(entities.rows), "entities and their rows differ in number")
        columns = {}
        for i, (name, role, missing, *approximate) in enumerate(header["columns"]):
            its = {key.removeprefix(f"{i}."): array for key, array in arrays.items() if key.startswith(f"{i}.")}
            column = (_categorical if Role(role) is Role.CATEGORICAL else _numerical)(missing, approximate, its)
            _sure(column.present + missing == header["rows"], f"the counts of column {name!r} do not add up")
            chosen: NDArray[Any] = its.get("chosen", np.empty(0))
            _sure(len(chosen) == (len(entities.keys) if entities else 0), f"the entities of column {name!r} do not fit")
            columns[name] = column
        return header["rows"], columns, entities
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as problem:
        raise StoreError(f"{path}: damaged profile ({problem}); build the reference again") from problem


def _categorical(missing: int, _: list[list[float]], arrays: Arrays) -> Categorical:
    ends = arrays["ends"] if "ends" in arrays else np.cumsum(arrays["lengths"])  # version 1 has lengths
    counts, at = arrays["counts"].astype(np.int64), arrays.get("chosen")
    _sure(len(ends) == len(counts) and (counts >= 1).all(), "labels and their counts do not fit")
    _sure((np.diff(ends, prepend=0) >= 0).all() and len(arrays["text"]) == int(ends[-1:].sum()), "labels do not fit")
    column = Categorical(arrays["text"], ends, counts, missing, at)
    _sure(all(a < b for a, b in pairwise(column.labels)), "labels are not in order")
    _sure(at is None or _within(at, len(counts)), "entities do not fit")
    return column


def _numerical(missing: int, approximate: list[list[float]], arrays: Arrays) -> Numerical:
    values, counts = arrays["values"], arrays["counts"].astype(np.int64)
    _sure(len(values) == len(counts) and (values[1:] > values[:-1]).all(), "values are not in order")
    chosen = _chosen(arrays)
    if not approximate:
        _sure((counts >= 1).all(), "values and their counts do not fit")
        return Numerical.exact(values, counts, missing, chosen)
    rows, *moments, centre = approximate[0]
    gaps = Gaps(arrays["gaps"], arrays["sums"], centre)
    _sure(len(gaps.counts) == len(gaps.sums) == len(values) + 1, "gaps do not fit")
    _sure((counts >= 0).all() and (gaps.counts >= 0).all(), "counts below 0")
    _sure(int(counts.sum() + gaps.counts.sum()) == rows, "values, gaps and rows do not fit")
    return Numerical(values, counts, missing, Moments(int(rows), *moments), gaps, chosen)


def _chosen(arrays: Arrays) -> Chosen | None:
    if "chosen" not in arrays:
        return None
    at, values = arrays["chosen"], arrays.get("chosen_values", arrays["values"])
    _sure(_within(at, len(values)), "entities do not fit")
    if "chosen_values" in arrays:
        return Chosen(values, at)
    # version 1 has places in the column's own values
    used, to = np.unique(at, return_inverse=True)
    return Chosen(values[used[used >= 0]], (to - (used < 0).sum()).astype(np.int32))


def _within(at: NDArray[Any], size: int) -> bool:
    return bool(((at >= -1) & (at < size)).all())


def _sure(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
