"""Samples drawn by a hash of what a row holds, never by where it stands: a database may return rows in any order.

Equal rows are told apart by their occurrence (first, second, …), which among equals is the same set in any order. So
they must be counted, all of them: a reservoir, or a threshold on the hash alone, would draw equal rows all or none.
Hashes are polars' own: stable for one version of polars.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.canonical import named
from engine.drift.kernels.drawing import Hashes, keys, keys_below

MOST_VALUES = 10_000_000
"""Values (rows times columns) of a sample, whatever the number of rows asked for: 80 MB of floats. A frame that holds
no more is read once."""

_BUFFERED = 2**20
"""Hashes in memory, 8 MB; beyond that they are written to files."""

_PARTS = 256
"""Files, by the first byte of the hash."""

_ROW = "\0row"


def most_rows(columns: int, rows: int) -> int:
    """Return how many of the `rows` asked for a sample of as many columns has at most."""
    return min(rows, max(1, MOST_VALUES // max(1, columns)))


def content(schema: pl.Schema, names: Sequence[str]) -> pl.Expr:
    """Return the hash of a row's values in the columns `names`, in whatever order they are given.

    It is the sum of the values' hashes, each column's by a seed of its own: a third of what hashing a struct takes.
    """
    # a hash of an enum or a categorical would depend on its list of values
    listed = (pl.Enum, pl.Categorical)
    texts = (named(name).cast(pl.String) if schema[name] in listed else named(name) for name in sorted(names))
    # not +, which polars takes minutes to plan for thousands of columns
    return pl.sum_horizontal(pl.lit(0, pl.UInt64), *(value.hash(seed) for seed, value in enumerate(texts)))


def row_keys(frame: pl.DataFrame, names: Sequence[str], seed: int) -> Hashes:
    """Return one pseudo-random key a row, from its content, its occurrence and the seed."""
    hashes = frame.select(content(frame.schema, names)).to_series().to_numpy()
    order = np.argsort(hashes)  # which of equal rows comes first is as good as another
    ordered = hashes[order]
    starts = _run_starts(ordered)
    occurrences = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    found = np.empty_like(ordered)
    found[order] = keys(ordered, occurrences.astype(np.uint64), np.uint64(seed % 2**64))
    return found


def sample(
    frame: pl.LazyFrame, columns: Sequence[str], rows: int, *, entity: str | None = None, seed: int = 0
) -> pl.DataFrame:
    """Return `columns` (and the entity) of at most `rows` rows, drawn without replacement by hash.

    Fewer rows where they would hold more than `MOST_VALUES` values. Two streaming passes, one where the frame is
    small: the first counts equal rows, the second fetches those drawn. Memory does not grow with the frame: the
    counts, 16 bytes for each distinct row, go through temporary files.
    """
    names = list(dict.fromkeys([*columns, *([entity] if entity else [])]))
    rows = most_rows(len(names), rows)
    row = content(frame.collect_schema(), names).alias(_ROW)
    small = MOST_VALUES // (len(names) + 1)
    head = frame.select(*map(named, names), row).head(small + 1).collect(engine="streaming")
    whole = head if len(head) <= small else None
    del head
    with TemporaryDirectory(prefix="engine-sample-") as folder:
        counts = _Counts(Path(folder))
        if whole is not None:
            counts.add(whole[_ROW].to_numpy())
        else:
            for batch in frame.select(row).collect_batches(maintain_order=False, engine="streaming"):
                counts.add(batch[_ROW].to_numpy())
        drawn = counts.lowest(rows, seed)
    if whole is None:
        # as a filter it is worked out while reading; a join took three times the memory
        wanted = frame.filter(row.is_in(drawn[_ROW].implode())).select(*map(named, names), row)
        whole = wanted.unique(_ROW, keep="any").collect(engine="streaming")
    once = whole.unique(_ROW, keep="any").join(drawn, on=_ROW, how="inner").sort(_ROW)
    return once.select(map(named, names))[np.repeat(np.arange(len(once)), once["times"].to_numpy())]


class _Counts:
    """How often each hash occurs, as (hash, times) in files by the hashes' first byte once there are many."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.total = 0
        self._buffer: list[Hashes] = []
        self._buffered = 0
        self._spilled = False

    def add(self, hashes: Hashes) -> None:
        self._buffer.append(hashes)
        self._buffered += len(hashes)
        self.total += len(hashes)
        if self._buffered > _BUFFERED:
            self._spill()

    def lowest(self, rows: int, seed: int) -> pl.DataFrame:
        """Return which hashes have the lowest keys, as many as `rows` asks for, and how many `times` each."""
        # so many that more than `rows` keys are below it, but for one case in a billion, which is tried again
        share = (rows + 6 * rows**0.5 + 20) / max(self.total, 1)
        while True:
            bound = np.uint64(min(int(share * 2**64), 2**64 - 1))
            found = [keys_below(hashes, times, np.uint64(seed % 2**64), bound) for hashes, times in self._parts()]
            all_keys, whose = (np.concatenate(part) for part in zip(*found, strict=True))
            if len(all_keys) >= min(rows, self.total):
                break
            share *= 2
        if len(all_keys) > rows:
            whose = whose[np.argpartition(all_keys, rows)[:rows]]
        hashes, times = np.unique(whose, return_counts=True)
        return pl.DataFrame({_ROW: hashes, "times": times})

    def _parts(self) -> Iterator[tuple[Hashes, NDArray[np.int64]]]:
        if not self._spilled:
            yield _counted(np.concatenate([np.empty(0, np.uint64), *self._buffer]))
            return
        self._spill()
        for part in range(_PARTS):
            pairs = np.fromfile(self.folder / str(part), np.uint64).reshape(-1, 2)
            pairs = pairs[np.argsort(pairs[:, 0])]
            starts = _run_starts(pairs[:, 0])
            yield pairs[starts, 0], np.add.reduceat(pairs[:, 1], starts).astype(np.int64)

    def _spill(self) -> None:
        hashes, times = _counted(np.concatenate([np.empty(0, np.uint64), *self._buffer]))
        self._buffer, self._buffered, self._spilled = [], 0, True
        pairs = np.column_stack([hashes, times.astype(np.uint64)])
        ends = np.searchsorted(hashes, np.arange(1, _PARTS, dtype=np.uint64) << np.uint64(56))
        for part, some in enumerate(np.split(pairs, ends)):
            with (self.folder / str(part)).open("ab") as file:
                file.write(some.tobytes())


def _counted(hashes: Hashes) -> tuple[Hashes, NDArray[np.int64]]:
    hashes = np.sort(hashes)
    starts = _run_starts(hashes)
    return hashes[starts], np.diff(starts, append=len(hashes))


def _run_starts(ordered: Hashes) -> NDArray[np.int64]:
    """Return where in a sorted array each distinct value comes first."""
    return np.flatnonzero(np.concatenate([np.ones(min(1, len(ordered)), np.bool_), ordered[1:] != ordered[:-1]]))
