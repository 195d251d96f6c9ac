"""How often each category of a column occurs, counted block by block.

A block's values are told apart by their 64-bit hashes, and only one of each kind is looked at as text: three times as
fast as polars' own counting. Its categorical types would not help: they intern every text in a table that outlives
the column, and that costs more than counting. Two texts of one block have equal hashes once in a billion blocks, if
all their texts are new; texts of different blocks are compared as texts.
"""

from threading import local

import numpy as np
import polars as pl

from engine.drift.blocks import ROWS
from engine.drift.canonical import as_categories
from engine.drift.kernels.counting import Counts
from engine.drift.kernels.distinct import SLOTS_A_KEY, distinct

MOST_WAITING = 1 << 18
"""Categories of single blocks that may wait to be added up; where there are many distinct ones, twice as many."""


class _Scratch(local):
    """What `distinct` needs for a block, one set a thread."""

    def __init__(self) -> None:
        self.slots = np.empty(SLOTS_A_KEY * ROWS, np.int32)
        self.found = np.empty(ROWS, np.uint64)
        self.firsts = np.empty(ROWS, np.int32)
        self.counts = np.empty(ROWS, np.int64)


_scratch = _Scratch()


class Tally:
    """The categories of one column and how often each occurs."""

    def __init__(self) -> None:
        self._labels = pl.Series("label", [], pl.String)
        self._counts: list[Counts] = []
        self._settled = 0

    def add(self, column: pl.Series) -> None:
        """Count more values, of any type that holds categories."""
        # Series are sliced, indexed and added to: the same as queries would take longer than the counting
        for start in range(0, len(column), ROWS):
            block = column.slice(start, ROWS)
            at = _scratch
            n = distinct(block.hash().to_numpy(), at.slots, at.found, at.firsts, at.counts)
            labels = block[pl.Series(at.firsts[:n])]
            if labels.dtype != pl.String:
                labels = labels.alias("label").to_frame().select(as_categories("label", labels.dtype)).to_series()
            # a copy: what was picked keeps the text of all the block in memory
            self._add(labels + "", at.counts[:n].copy())

    def table(self) -> tuple[pl.Series, Counts]:
        """Return the categories, ascending by their UTF-8 bytes (as by code points), and the counts of each."""
        self._settle()
        present = self._labels.is_not_null()
        return self._labels.filter(present).alias(""), self._counts[0][present.to_numpy()]

    def _add(self, labels: pl.Series, counts: Counts) -> None:
        self._labels.append(labels)
        self._counts.append(counts)
        if len(self._labels) > max(MOST_WAITING, 2 * self._settled):
            self._settle()

    def _settle(self) -> None:
        """Add up the counts of equal categories: by sorting, for which polars takes half the memory of grouping."""
        counts = np.concatenate([np.empty(0, np.int64), *self._counts])
        if len(counts):
            order = self._labels.arg_sort()
            labels = self._labels[order]
            firsts = np.flatnonzero(labels.ne_missing(labels.shift()).to_numpy() | (np.arange(len(labels)) == 0))
            self._labels, counts = labels[pl.Series(firsts)], np.add.reduceat(counts[order.to_numpy()], firsts)
        self._counts, self._settled = [counts], len(counts)
