"""Count the categories of a column, block by block.

Short texts are in polars' views of them (see `text_buffers`), so equal views are counted through all blocks. Long texts
are compared by their views within a block; other values, and long texts with too many distinct views, by their 64-bit
hashes. Only the first value of each group is read as text, which is three times as fast as counting in polars. The
categorical types of polars would not help: they intern every text in a table that outlives the column, which takes
longer than counting. Even if all 131,072 values of a block are distinct, two of them have equal hashes in only one of
two billion blocks (2**33 pairs, 2**64 hashes). Several views of one text, and the texts of different blocks, are
compared as texts. So the counts do not depend on the hash function, and polars' own hash suffices.
"""

from collections.abc import Sequence
from itertools import chain
from threading import local

import numpy as np
import polars as pl

from engine.drift.distributions.categorical import Categorical
from engine.drift.kernels.key_counts import SLOTS_PER_KEY, Indices, Keys, count_keys
from engine.drift.kernels.value_tables import Counts
from engine.drift.reading.blocks import BLOCK_ROWS
from engine.drift.reading.normalization import as_categories
from engine.drift.reading.text_buffers import count_views, read_short_views, sort_short_views

MAX_PENDING_LABELS = 1 << 18
"""Maximum number of (category, count) pairs of single blocks that wait before equal categories are combined; with many
distinct categories, twice their number."""


FEW_LABELS = 1 << 10
"""Number of waiting labels up to which Python combines them: a polars query would take longer."""

VALUES_PER_VIEW = 8
"""Fewest values per distinct view of a long text: with fewer, the values of a column are compared by their hashes."""

MAX_SHORT_TEXTS = 1 << 14
"""Maximum number of distinct short texts that are counted through all blocks: with more, the hash table outgrows the
processor's cache."""


class _ScratchArrays(local):
    """The arrays that the kernels `count_keys` and `count_pairs` write to, one set per thread."""

    def __init__(self) -> None:
        keys = BLOCK_ROWS + MAX_SHORT_TEXTS
        self.slots = np.empty(2 * SLOTS_PER_KEY * BLOCK_ROWS, np.int32)
        self.distinct = np.empty(2 * keys, np.uint64)
        self.firsts = np.empty(keys, np.int32)
        self.counts = np.empty(keys, np.int64)


_thread_scratch = _ScratchArrays()


class CategoryCounter:
    """Counts the occurrences of each category of one column."""

    def __init__(self) -> None:
        self._labels = pl.Series("label", [], pl.String)
        self._counts: list[Counts] = []
        self._combined = 0
        self._short_texts, self._short_counts = np.empty(0, np.uint64), np.empty(0, np.int64)
        self._all_short = self._by_views = True

    def add(self, column: pl.Series) -> None:
        """Add values of any type that can be categorical."""
        # only operations on Series: the same as polars queries would take longer than the counting
        for start in range(0, len(column), BLOCK_ROWS):
            block = column.slice(start, BLOCK_ROWS).rechunk()
            if block.dtype == pl.String and self._all_short and self._count_short_texts(block):
                continue
            scratch = _thread_scratch
            n = self._count_distinct(block, scratch.slots, scratch.distinct, scratch.firsts, scratch.counts)
            labels = block[pl.Series(scratch.firsts[:n])]
            if labels.dtype != pl.String:
                labels = labels.alias("label").to_frame().select(as_categories("label", labels.dtype)).to_series()
            # + "" copies: otherwise the selected labels would keep the text of the whole block in memory
            self._append_block(labels + "", scratch.counts[:n].copy())

    def add_counts(self, labels: Sequence[str], counts: Counts) -> None:
        """Add categories as text, with their counts."""
        self._append_block(pl.Series("label", labels, pl.String), counts)

    def _count_short_texts(self, block: pl.Series) -> bool:
        """Count the texts of a block, and return True; or False if some are long, or too many are distinct."""
        scratch, known = _thread_scratch, len(self._short_counts)
        scratch.distinct[: 2 * known], scratch.counts[:known] = self._short_texts, self._short_counts
        n, n_long = count_views(block, known, scratch.slots, scratch.distinct, scratch.firsts, scratch.counts)
        self._all_short = not n_long and n <= MAX_SHORT_TEXTS
        if self._all_short:
            self._short_texts, self._short_counts = scratch.distinct[: 2 * n].copy(), scratch.counts[:n].copy()
        return self._all_short

    def _count_distinct(self, block: pl.Series, *scratch: *tuple[Indices, Keys, Indices, Counts]) -> int:
        """Write the first position and the count of each distinct value to the last two arrays; return their number."""
        if block.dtype == pl.String and self._by_views:
            n, n_long = count_views(block, 0, *scratch)
            if n_long * VALUES_PER_VIEW <= len(block):
                return n
            self._by_views = False  # equal long texts do not share views: too many of a block would be read
        return count_keys(block.hash().to_numpy(), *scratch)

    def make_column(self, rows: int) -> Categorical:
        """Return the column of the categories, of which so many `rows` were read."""
        if len(self._labels):
            labels, counts = self.sorted_counts()
            return Categorical.from_labels(labels.to_list(), counts, rows - int(counts.sum()))
        # as Python strings, thousands of texts would take longer than their rows
        order, text, ends = sort_short_views(self._short_texts)
        return Categorical(text, ends, self._short_counts[order], rows - int(self._short_counts.sum()))

    def sorted_counts(self) -> tuple[pl.Series, Counts]:
        """Return the categories, ascending by their UTF-8 bytes (the order of code points), and their counts."""
        self._append_short_texts()
        if len(self._labels) <= FEW_LABELS:
            return self._combine_few()
        self._combine_equal()
        found = pl.DataFrame({"label": self._labels, "count": self._counts[0]}).lazy().drop_nulls("label")
        ordered = found.sort("label").collect(engine="in-memory")
        return ordered["label"].alias(""), ordered["count"].to_numpy()

    def _combine_few(self) -> tuple[pl.Series, Counts]:
        """Do the work of `sorted_counts` in Python, for few labels."""
        summed: dict[str | None, int] = {}
        counts = chain.from_iterable(part.tolist() for part in self._counts)
        for label, count in zip(self._labels.to_list(), counts, strict=True):
            summed[label] = summed.get(label, 0) + count
        labels = sorted(label for label in summed if label is not None)
        return pl.Series(labels, dtype=pl.String), np.array([summed[label] for label in labels], np.int64)

    def _append_short_texts(self) -> None:
        self.add_counts(read_short_views(self._short_texts), self._short_counts)
        self._short_texts, self._short_counts = self._short_texts[:0], self._short_counts[:0]

    def _append_block(self, labels: pl.Series, counts: Counts) -> None:
        self._labels.append(labels)
        self._counts.append(counts)
        if len(self._labels) > max(MAX_PENDING_LABELS, 2 * self._combined):
            self._combine_equal()

    def _combine_equal(self) -> None:
        """Add the counts of equal categories."""
        counts = np.concatenate([np.empty(0, np.int64), *self._counts])
        if len(counts) > self._combined:
            summed = (
                pl.DataFrame({"label": self._labels, "count": counts}).lazy().group_by("label").agg(pl.sum("count"))
            ).collect(engine="in-memory")  # the streaming engine takes ten times as long for few labels
            self._labels, counts = summed["label"], summed["count"].to_numpy()
        self._counts, self._combined = [counts], len(counts)
