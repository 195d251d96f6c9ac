"""Count how often each row of a batch occurs, by a hash of its values, for comparison with later batches.

Values are normalized before they are hashed: rows that were read from CSV and from Parquet, or with integers that
became floats because one value is missing, are equal.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.data.column_types import column_type
from engine.data.table import Table, explain_read_errors
from engine.drift.reading.hash_version import HASH_VERSION
from engine.drift.reading.normalization import column_named
from engine.drift.reading.row_hash import hash_columns
from engine.errors import DataError

MAX_DIFFERENT_ROWS = 1_000_000
"""Maximum number of distinct rows that are counted (in 9 to 16 MB); if there are more, those with the smallest
hashes."""

_FORMAT = 1
_ALL_HASHES = 2**64 - 1
_TYPE_GROUPS = {"integer": "number", "date": "time", "datetime": "time"}
"""Types whose values are normalized to one form, so that columns of both types are comparable."""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The number of occurrences of each row of a table.

    Attributes
    ----------
    types
        The group of each column's type, which determines whether columns are comparable.
    hashes, times
        The hashes of the distinct rows, ascending, and the number of occurrences of each.
    limit
        The largest hash that was counted; rows with larger ones are left out.
    rows
        The number of rows of the table.
    version
        The version of the hash function; counts with different versions are not comparable.
    """

    types: Mapping[str, str]
    hashes: NDArray[np.uint64]
    times: NDArray[np.int64]
    limit: int
    rows: int
    version: str = HASH_VERSION

    @property
    def complete(self) -> bool:
        """Whether all rows are counted."""
        return self.limit == _ALL_HASHES

    def save(self, path: Path) -> None:
        """Write the counts to a file."""
        facts = {name: getattr(self, name) for name in ("types", "limit", "rows", "version")}
        text = json.dumps({"format": _FORMAT, **facts}).encode()
        with path.open("wb") as file:
            times = self.times.astype(np.min_scalar_type(int(self.times.max(initial=0))))
            np.savez(file, facts=np.frombuffer(text, np.uint8), hashes=self.hashes, times=times)

    @classmethod
    def load(cls, path: Path) -> "RowCounts":
        """Read counts from a file; raises DataError if `save` did not write it."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                facts = json.loads(arrays["facts"].tobytes())
                if facts.pop("format") != _FORMAT:
                    raise DataError("another version of engine has written them")
                return cls(hashes=arrays["hashes"], times=arrays["times"].astype(np.int64), **facts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadZipFile) as error:
            raise DataError(f"{path} is damaged ({error})") from error


def count_rows(table: Table, columns: Sequence[str] | None = None) -> RowCounts:
    """Count the rows of a table, by the values of `columns` (by default all); their order does not matter.

    Raises
    ------
    DataError
        The table cannot be read, or a column holds Python objects.
    """
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
        names = sorted(schema if columns is None else columns)
        batches = _plan_hashes(table, [names]).collect_batches(maintain_order=False, engine="streaming")
        hashes, times, limit, rows = _count_smallest(batch["hash 0"].to_numpy() for batch in batches)
    return RowCounts({name: _group_type(schema[name]) for name in names}, hashes, times, limit, rows)


def hash_table_rows(table: Table, *by: Sequence[str]) -> list[NDArray[np.uint64]]:
    """Return the hash of each row of a table by its values of some columns, shape (rows,), for each list of columns.

    The table is read once, so the hashes have the same order, even if another read would give the rows in another one.

    Raises
    ------
    DataError
        The table cannot be read, or a column holds Python objects.
    """
    with explain_read_errors(table):
        hashed = _plan_hashes(table, by).collect(engine="streaming")
    return [column.to_numpy() for column in hashed]


def hash_rows_by(frame: pl.LazyFrame, by: Sequence[Sequence[str]]) -> pl.LazyFrame:
    """Return the hashes of the rows of a frame, in a column named `hash <number>` for each list of columns."""
    schema = frame.collect_schema()
    return frame.select(
        hash_columns((_unify_value(name, schema[name]) for name in columns), 0).alias(f"hash {number}")
        for number, columns in enumerate(by)
    )


def _plan_hashes(table: Table, by: Sequence[Sequence[str]]) -> pl.LazyFrame:
    schema = table.frame.collect_schema()
    if objects := [name for columns in by for name in columns if schema[name] == pl.Object]:
        raise DataError(f"column {objects[0]!r} holds Python objects: convert it to text, numbers or dates")
    return hash_rows_by(table.frame, by)


def list_shared_columns(first: Table, second: Table) -> list[str]:
    """Return the columns that two tables have with comparable types, sorted: rows are compared by these columns."""
    first_groups, second_groups = (
        {name: _group_type(dtype) for name, dtype in table.frame.collect_schema().items() if dtype != pl.Object}
        for table in (first, second)
    )
    return sorted(name for name, group in first_groups.items() if second_groups.get(name) == group)


def find_incomparable_columns(now: RowCounts, before: RowCounts) -> str | None:
    """Return why rows of two tables cannot be compared, or None: the later table must have every earlier column."""
    if gone := [name for name in before.types if name not in now.types]:
        return f"the batch before had the column {gone[0]!r}, this one has not"
    for name, old in before.types.items():
        new = now.types[name]
        if new != old and "null" not in (new, old):
            return f"column {name!r} is {new}, but it was {old} in the batch before"
    return None


def measure_repeated_share(now: RowCounts, before: RowCounts) -> float | None:
    """Return the share of the rows of `now` that also occur in `before`; None if there is no row to compare.

    A row that occurs several times is repeated as often as it occurs in both. If a side did not count all rows, the
    share is that of the rows whose hash is small enough to be counted on both sides.
    """
    limit = np.uint64(min(now.limit, before.limit))
    kept = np.searchsorted(now.hashes, limit, side="right")
    hashes, times = now.hashes[:kept], now.times[:kept]
    if not kept:
        return None
    _, here, there = np.intersect1d(hashes, before.hashes, assume_unique=True, return_indices=True)
    return float(np.minimum(times[here], before.times[there]).sum() / times.sum())


def _count_smallest(
    batches: Iterable[NDArray[np.uint64]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], int, int]:
    """Return the smallest distinct hashes, their numbers of occurrences, the largest kept hash, and the number of all.

    The limit only falls, so a hash below the last limit was below every earlier one: its count is complete.
    """
    hashes, times = np.empty(0, np.uint64), np.empty(0, np.int64)
    limit, rows, waiting, waiting_rows = _ALL_HASHES, 0, list[NDArray[np.uint64]](), 0
    for batch in (*batches, None):
        if batch is not None:
            rows += len(batch)
            waiting.append(batch[batch <= np.uint64(limit)])
            waiting_rows += len(waiting[-1])
        if batch is not None and waiting_rows <= MAX_DIFFERENT_ROWS:
            continue
        every = np.concatenate([hashes, *waiting])
        weights = np.concatenate([times, np.ones(len(every) - len(times), np.int64)])
        order = np.argsort(every)
        every, weights = every[order], weights[order]
        starts = np.flatnonzero(np.diff(every, prepend=~every[:1]) != 0)
        hashes, times = every[starts], np.add.reduceat(weights, starts) if len(starts) else times
        if len(hashes) > MAX_DIFFERENT_ROWS:
            hashes, times = hashes[:MAX_DIFFERENT_ROWS], times[:MAX_DIFFERENT_ROWS]
            limit = int(hashes[-1])
        waiting, waiting_rows = [], 0
    return hashes, times, limit, rows


def _group_type(dtype: pl.DataType) -> str:
    if dtype == pl.Float32:
        return "number of 32 bits"  # 0.1 in 32 bits is not 0.1 in 64
    name = column_type(dtype)
    return _TYPE_GROUPS.get(name, name)


def _unify_value(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column's values in a form whose hash does not depend on how the type stores them."""
    value, group = column_named(name), _group_type(dtype)
    if group == "time":
        return value.dt.epoch("us")
    if group == "duration":
        return value.dt.total_microseconds()
    if dtype.is_float() or dtype.is_decimal():
        return value.cast(pl.Float64).fill_nan(None)
    return value
