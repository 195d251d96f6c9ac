"""Count the categories of a column, block by block.

Within a block values are distinguished by their 64-bit hashes, and only the first of each is read as text: this is
three times as fast as the counting of polars. The categorical types of polars would not help, because they intern every
text in a table that outlives the column, which takes longer than counting. Even if all 131,072 texts of a block are
distinct, two of them have equal hashes in one of two billion blocks only (2**33 pairs, 2**64 hashes). Texts of
different blocks are compared as texts. So the counts do not depend on what hash it is, and that of polars will do.
"""

from threading import local

import numpy as np
import polars as pl

from engine.drift.kernels.key_counts import SLOTS_PER_KEY, count_keys
from engine.drift.kernels.value_tables import Counts
from engine.drift.reading.blocks import BLOCK_ROWS
from engine.drift.reading.normalization import as_categories

MAX_PENDING_LABELS = 1 << 18
"""Number of (category, count) pairs of single blocks that are kept before equal categories are combined. If there are
many distinct categories, it is twice their number."""


class _ScratchArrays(local):
    """The arrays that the kernel `count_keys` writes to, one set per thread."""

    def __init__(self) -> None:
        self.slots = np.empty(SLOTS_PER_KEY * BLOCK_ROWS, np.int32)
        self.distinct = np.empty(BLOCK_ROWS, np.uint64)
        self.firsts = np.empty(BLOCK_ROWS, np.int32)
        self.counts = np.empty(BLOCK_ROWS, np.int64)


_thread_scratch = _ScratchArrays()


class CategoryCounter:
    """Counts how often each category of one column occurs."""

    def __init__(self) -> None:
        self._labels = pl.Series("label", [], pl.String)
        self._counts: list[Counts] = []
        self._combined = 0

    def add(self, column: pl.Series) -> None:
        """Add values, of any type that can be categorical."""
        # operations on Series only: the same as polars queries would take longer than the counting
        for start in range(0, len(column), BLOCK_ROWS):
            block = column.slice(start, BLOCK_ROWS)
            scratch = _thread_scratch
            n = count_keys(block.hash().to_numpy(), scratch.slots, scratch.distinct, scratch.firsts, scratch.counts)
            labels = block[pl.Series(scratch.firsts[:n])]
            if labels.dtype != pl.String:
                labels = labels.alias("label").to_frame().select(as_categories("label", labels.dtype)).to_series()
            # + "" makes a copy: the selected labels would keep the text of the whole block in memory
            self._append_block(labels + "", scratch.counts[:n].copy())

    def sorted_counts(self) -> tuple[pl.Series, Counts]:
        """Return the categories, ascending by their UTF-8 bytes (the order of code points), and their counts."""
        self._combine_equal()
        present = self._labels.is_not_null()
        return self._labels.filter(present).alias(""), self._counts[0][present.to_numpy()]

    def _append_block(self, labels: pl.Series, counts: Counts) -> None:
        self._labels.append(labels)
        self._counts.append(counts)
        if len(self._labels) > max(MAX_PENDING_LABELS, 2 * self._combined):
            self._combine_equal()

    def _combine_equal(self) -> None:
        """Add the counts of equal categories, by sorting: that takes half the memory of grouping in polars."""
        counts = np.concatenate([np.empty(0, np.int64), *self._counts])
        if len(counts):
            order = self._labels.arg_sort()
            labels = self._labels[order]
            starts = np.flatnonzero(labels.ne_missing(labels.shift()).to_numpy() | (np.arange(len(labels)) == 0))
            self._labels, counts = labels[pl.Series(starts)], np.add.reduceat(counts[order.to_numpy()], starts)
        self._counts, self._combined = [counts], len(counts)
