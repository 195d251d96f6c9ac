"""Draw samples of rows by a hash of their content, never by position: a database may return rows in any order.

Equal rows are distinguished by their occurrence (first, second, ...). Any order of the rows gives the same set of
(content, occurrence), and so the same sample. This needs the counts of equal rows: a threshold on the hash alone would
draw either all equal rows or none, and a reservoir depends on positions.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.kernels.sampling_keys import make_keys, make_keys_below
from engine.drift.kernels.value_hashes import Hashes
from engine.drift.profiles.drawn_rows import HASH_COLUMN, MAX_SAMPLE_VALUES, draw_lowest, limit_rows, repeat_drawn_rows
from engine.drift.reading.normalization import Role, column_named, normalize_categories, plan_normalization
from engine.drift.reading.row_hash import hash_values, row_content_hash
from engine.drift.reading.sources import is_spark_frame, scan_table

_MAX_BUFFERED_HASHES = 2**20
"""Maximum number of hashes in memory, 8 MB; more are written to files."""

_HASH_FILES = 256
"""Number of files: one per value of the first byte of a hash."""


def row_keys(frame: pl.DataFrame, names: Sequence[str], seed: int) -> Hashes:
    """Return a pseudo-random key per row, a function of its content, its occurrence and the seed."""
    return make_row_keys(frame.select(row_content_hash(names)).to_series().to_numpy(), seed)


def make_row_keys(hashes: Hashes, seed: int) -> Hashes:
    """Return a pseudo-random key per row, given the hashes of the rows' content: see `row_keys`."""
    order = np.argsort(hashes)  # need not be stable: equal rows are interchangeable
    ordered = hashes[order]
    starts = _run_starts(ordered)
    occurrences = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    keys = np.empty_like(ordered)
    keys[order] = make_keys(ordered, occurrences.astype(np.uint64), np.uint64(seed % 2**64))
    return keys


def number_folds(frame: pl.DataFrame, folds: int, *, entity: str | None = None, seed: int = 0) -> NDArray[np.int64]:
    """Return the number of each row's fold, from 0 on, by the content of its entity, or of the row if it has none."""
    keys = row_keys(frame, frame.columns, seed)
    if entity is not None and entity in frame.columns:
        texts = normalize_categories(frame.get_column(entity).alias(""))
        keys = np.where(texts.is_null().to_numpy(), keys, hash_values(texts, seed + 2))
    return np.asarray(keys % np.uint64(folds), np.int64)


def sample(data: Any, columns: Sequence[str], rows: int, *, entity: str | None = None, seed: int = 0) -> pl.DataFrame:
    """Return `columns` (and the entity) of at most `rows` rows, drawn without replacement by hash.

    The sample has fewer rows if it would have more than `MAX_SAMPLE_VALUES` values. The frame is read once, and a
    second time only if a repeated row is drawn whose first occurrence was not. Memory does not grow with the frame: the
    counts of equal rows, 16 bytes per distinct row, go to temporary files. `data` has any form that `scan_table`
    accepts; the rows of a Spark DataFrame are read by its executors.
    """
    if is_spark_frame(data):
        from engine.drift.spark.row_samples import read_row_sample

        return read_row_sample(data, rows, seed, columns=columns, entity=entity)
    frame = data if isinstance(data, pl.LazyFrame) else scan_table(data)
    names = list(dict.fromkeys([*columns, *([entity] if entity else [])]))
    if not names:  # a frame without columns has no rows either
        return pl.DataFrame()
    rows = limit_rows(len(names), rows)
    hashed = frame.select(*map(column_named, names), row_content_hash(names).alias(HASH_COLUMN))
    lowest = _LowestRows(rows, max(2 * rows, MAX_SAMPLE_VALUES // len(names)), seed)
    with TemporaryDirectory(prefix="engine-sample-") as folder:
        counts = _HashCounter(Path(folder))
        for batch in hashed.collect_batches(maintain_order=False, engine="streaming"):
            counts.add(batch[HASH_COLUMN].to_numpy())
            lowest.add(batch)
        drawn = draw_lowest(rows, counts.total, partial(counts.find_below, seed))
    found = lowest.collect(hashed.collect_schema())
    missing = drawn.join(found, on=HASH_COLUMN, how="anti")[HASH_COLUMN]
    if len(missing):
        # a filter is applied while reading; a join took three times the memory
        again = hashed.filter(pl.col(HASH_COLUMN).is_in(missing.implode())).unique(HASH_COLUMN, keep="any")
        found = pl.concat([found, again.collect(engine="streaming")])
    return repeat_drawn_rows(found, drawn, names)


def unite_samples(samples: Sequence[pl.DataFrame], roles: Mapping[str, Role]) -> pl.DataFrame:
    """Return the rows of all samples; a column with several types becomes floats or text.

    Parameters
    ----------
    samples
        Frames with the same columns.
    roles
        The role of each column; a column without a role, such as the entity, becomes text where types differ.
    """
    columns = []
    for name in samples[0].columns:
        parts = [sample.get_column(name).alias("") for sample in samples]
        if len({part.dtype for part in parts}) > 1:
            if roles.get(name) is Role.NUMERICAL:
                reading = [part.alias("x").to_frame().lazy() for part in parts]
                parts = [
                    frame.select(plan_normalization(frame, {"x": Role.NUMERICAL})["x"].cast(pl.Float64)).collect()["x"]
                    for frame in reading
                ]
            else:
                parts = [normalize_categories(part) for part in parts]
        columns.append(pl.concat(part.alias("") for part in parts).alias(name))
    return pl.DataFrame(columns)


class _LowestRows:
    """Keeps the rows whose keys would be the lowest if no two rows were equal, and at first all rows.

    Parameters
    ----------
    rows
        The number of rows to keep in any case.
    most
        The number of rows in memory beyond which only the lowest are kept.
    """

    def __init__(self, rows: int, most: int, seed: int) -> None:
        self._rows, self._most, self._seed = rows, most, np.uint64(seed % 2**64)
        self._bound: np.uint64 | None = None
        self._parts: list[pl.DataFrame] = []
        self._held = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Add rows with their hashes."""
        low = (
            batch
            if self._bound is None
            else batch.filter(self._make_keys(batch[HASH_COLUMN].to_numpy()) <= self._bound)
        )
        self._parts.append(low)
        self._held += len(low)
        if self._held > self._most:
            self._drop_others()

    def collect(self, schema: pl.Schema) -> pl.DataFrame:
        """Return the rows that are kept; some may be equal."""
        return pl.concat([schema.to_frame(), *self._parts])

    def _drop_others(self) -> None:
        """Keep only the lowest rows, and from now on none with a higher key."""
        held = pl.concat(self._parts)
        hashes, places = np.unique(held[HASH_COLUMN].to_numpy(), return_index=True)
        if len(hashes) > self._rows:
            keys = self._make_keys(hashes)
            lowest = np.argpartition(keys, self._rows - 1)[: self._rows]
            places, self._bound = places[lowest], keys[lowest].max()
        held = held[np.sort(places)]
        self._parts, self._held = [held], len(held)

    def _make_keys(self, hashes: Hashes) -> Hashes:
        """Return the keys of rows with these hashes as if each was the first of its equals."""
        return make_keys(hashes, np.zeros(len(hashes), np.uint64), self._seed)


class _HashCounter:
    """Counts how often each hash occurs; many hashes are written to files as (hash, times), by their first byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.total = 0
        self._buffer: list[Hashes] = []
        self._buffered_hashes = 0
        self._spilled = False

    def add(self, hashes: Hashes) -> None:
        self._buffer.append(hashes)
        self._buffered_hashes += len(hashes)
        self.total += len(hashes)
        if self._buffered_hashes > _MAX_BUFFERED_HASHES:
            self._spill_buffer()

    def find_below(self, seed: int, bound: np.uint64) -> tuple[Hashes, Hashes]:
        """Return the keys of all rows up to a bound, and the row hash of each."""
        below = [make_keys_below(*counts, np.uint64(seed % 2**64), bound) for counts in self._iterate_counts()]
        keys, hashes = (np.concatenate(part) for part in zip(*below, strict=True))
        return keys, hashes

    def _iterate_counts(self) -> Iterator[tuple[Hashes, NDArray[np.int64]]]:
        """Yield distinct hashes and their counts, one file after another; all occurrences of a hash are in one file."""
        if not self._spilled:
            yield _count_hashes(np.concatenate([np.empty(0, np.uint64), *self._buffer]))
            return
        self._spill_buffer()
        for part in range(_HASH_FILES):
            pairs = np.fromfile(self.folder / str(part), np.uint64).reshape(-1, 2)
            pairs = pairs[np.argsort(pairs[:, 0])]
            starts = _run_starts(pairs[:, 0])
            yield pairs[starts, 0], np.add.reduceat(pairs[:, 1], starts).astype(np.int64)

    def _spill_buffer(self) -> None:
        """Append the buffered hashes, with counts, to the files."""
        hashes, times = _count_hashes(np.concatenate([np.empty(0, np.uint64), *self._buffer]))
        self._buffer, self._buffered_hashes, self._spilled = [], 0, True
        pairs = np.column_stack([hashes, times.astype(np.uint64)])
        ends = np.searchsorted(hashes, np.arange(1, _HASH_FILES, dtype=np.uint64) << np.uint64(56))
        for part, some in enumerate(np.split(pairs, ends)):
            with (self.folder / str(part)).open("ab") as file:
                file.write(some.tobytes())


def _count_hashes(hashes: Hashes) -> tuple[Hashes, NDArray[np.int64]]:
    """Return the distinct hashes, ascending, and how often each occurs."""
    hashes = np.sort(hashes)
    starts = _run_starts(hashes)
    return hashes[starts], np.diff(starts, append=len(hashes))


def _run_starts(ordered: Hashes) -> NDArray[np.int64]:
    """Return the position of the first occurrence of each distinct value in a sorted array."""
    return np.flatnonzero(np.concatenate([np.ones(min(1, len(ordered)), np.bool_), ordered[1:] != ordered[:-1]]))
