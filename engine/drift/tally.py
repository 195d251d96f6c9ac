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
    """The categories of one column; `missing` is how many values were null or NaN so far."""

    def __init__(self) -> None:
        self.missing = 0
        self._parts: list[pl.DataFrame] = []
        self._waiting = self._settled = 0

    def add(self, column: pl.Series) -> None:
        """Count more values, of any type that holds categories."""
        for start in range(0, len(column), ROWS):
            block = column.slice(start, ROWS).alias("label")
            at = _scratch
            n = distinct(block.hash().to_numpy(), at.slots, at.found, at.firsts, at.counts)
            labels = block.gather(at.firsts[:n].copy())
            if labels.dtype != pl.String:
                labels = labels.to_frame().select(as_categories("label", labels.dtype)).to_series()
            # a copy: what was gathered keeps the text of all the block in memory
            part = pl.DataFrame([labels + "", pl.Series("count", at.counts[:n].copy())])
            if labels.null_count():
                absent = part["label"].is_null()
                self.missing += int(part["count"].filter(absent).sum())
                part = part.filter(~absent)
            self._add(part)

    def merge(self, other: "Tally") -> None:
        """Count what `other` has counted."""
        self.missing += other.missing
        for part in other._parts:
            self._add(part)

    def table(self) -> tuple[pl.Series, Counts]:
        """Return the categories, ascending by their UTF-8 bytes (as by code points), and the counts of each."""
        self._settle()
        ordered = self._parts[0].sort("label")
        return ordered["label"].alias(""), ordered["count"].to_numpy(writable=True)

    def _add(self, part: pl.DataFrame) -> None:
        self._parts.append(part)
        self._waiting += len(part)
        if self._waiting > max(MOST_WAITING, 2 * self._settled):
            self._settle()

    def _settle(self) -> None:
        """Add up the counts of equal categories."""
        empty = pl.DataFrame(schema={"label": pl.String, "count": pl.Int64})
        parts = pl.concat([empty, *self._parts])
        self._parts = [parts.group_by("label").agg(pl.col("count").sum())]
        self._waiting = self._settled = len(self._parts[0])
