"""A ladder: some thousand values of a reference as rungs, against which a batch of any size is counted in one pass.

Of every rung it is known exactly how many of the batch are below, on, and above; of a gap between two, how many are
in it and their sum. That settles nearly everything about two distributions; what it does not, a second look at the
few gaps that matter does (`engine.drift.doubt`). The tallies of parts of a batch add up.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels import rungs as kernel
from engine.drift.kernels.counting import Counts, Values, places

A_CELL = 8
"""Buckets of a coarse cell, on average."""


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """`rungs` are values in ascending order; the rest finds a value's place among them (`kernels.rungs`).

    `pivots` has the rung in each bucket, else the next above, else the last; `before` how many rungs are in earlier
    buckets, with their number at its end. `centre` is subtracted before summing.
    """

    rungs: Values
    centre: float
    pivots: Values
    before: NDArray[np.int64]
    bits: bool
    low: float
    scale: float
    cells: kernel.Cells

    @classmethod
    def of(cls, values: Values, counts: Counts, size: int) -> Self:
        """Return a ladder of at most `size` rungs for rows like these: ascending values (one or more) and their counts.

        Each bucket's most frequent value becomes a rung, or a decile, on which the edges of bins lie.
        """
        upto = np.cumsum(counts)
        deciles = evenly(upto, 10)[:-1]
        some, weights = _sampled(upto, deciles, 8 * size)
        floats = values[some].astype(np.float64)
        scales = [_laid(floats, weights, bits, size) for bits in (False, True)]
        placed = [kernel.buckets(floats, bits, *scales[bits]) for bits in (False, True)]
        heaviest = [np.bincount(buckets, weights, size).max() for buckets in placed]
        bits = bool(heaviest[True] < heaviest[False])
        chosen = _heaviest(placed[bits], np.where(np.isin(some, deciles), np.inf, counts[some]))
        before = np.searchsorted(placed[bits][chosen], np.arange(size + 1, dtype=np.uint32))
        centre = values[len(values) // 2].item()
        rungs = values[some[chosen]]
        pivots = rungs[np.minimum(before[:-1], len(rungs) - 1)]
        return cls(rungs, centre if isfinite(centre) else 0.0, pivots, before, bits, *scales[bits])

    def tally(self) -> kernel.Tally:
        """Return the tally of no rows."""
        return np.zeros((2 * len(self.pivots) + 1, 2))

    def count(self, values: Values, tally: kernel.Tally) -> None:
        """Add values to a tally."""
        centre = self.rungs.dtype.type(self.centre)
        kernel.count(values, self.bits, self.low, self.scale, self.cells, self.pivots, centre, tally)

    def lay(self, values: Values, counts: Counts, tally: kernel.Tally) -> None:
        """Add a table of values and counts to a tally."""
        bucket = kernel.buckets(values.astype(np.float64), self.bits, self.low, self.scale, self.cells)
        pivots = self.pivots[bucket]
        at = 2 * bucket.astype(np.int64) + (values >= pivots) + (values > pivots)
        tally[:, 0] += np.bincount(at, counts, len(tally))
        with np.errstate(over="ignore", invalid="ignore"):  # sums of the largest numbers are infinite
            sums = counts * away(values, values[0].item(), values[-1].item(), self.centre)
            tally[:, 1] += np.bincount(at, sums, len(tally))

    def folded(self, tally: kernel.Tally) -> tuple[Counts, Counts, kernel.Sums]:
        """Return the rows on each rung, the rows in each gap, and the sums of each gap."""
        own = np.diff(self.before) > 0
        to = np.empty(len(tally), np.int64)
        to[::2] = 2 * self.before
        to[1::2] = 2 * self.before[:-1] + own
        rows, sums = (np.bincount(to, tally[:, i], 2 * len(self.rungs) + 1) for i in (0, 1))
        return rows[1::2].astype(np.int64), rows[::2].astype(np.int64), sums[::2].astype(np.float64)

    def select(self, values: Values, gaps: NDArray[np.bool_]) -> Values:
        """Return the values in some gaps, along with others of the same buckets."""
        wanted = (gaps[self.before[:-1]] | gaps[self.before[1:]]).astype(np.uint8)
        chosen = np.empty_like(values)
        n = kernel.select(values, self.bits, self.low, self.scale, self.cells, self.pivots, wanted, chosen)
        return chosen[:n].copy()


def evenly(upto: Counts, parts: int) -> NDArray[np.int64]:
    """Return where 1/parts, 2/parts … 1 of the rows are reached, `upto` being the rows up to each of some values."""
    total = int(upto[-1]) if len(upto) else 0
    return places(upto, -(-total * np.arange(1, parts + 1) // parts))


def _sampled(upto: Counts, besides: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the places of about `most` values in even steps of rows, and what share of a step each is worth."""
    if len(upto) <= most:
        step = max(1, int(upto[-1]) // most)
        return np.arange(len(upto)), np.minimum(np.diff(upto, prepend=0), step).astype(np.float64)
    some = np.sort(np.concatenate([evenly(upto, most), besides]))
    some = some[np.diff(some, prepend=-1) > 0]
    return some, np.ones(len(some))


def _laid(
    values: NDArray[np.float64], weights: NDArray[np.float64], bits: bool, size: int
) -> tuple[float, float, kernel.Cells]:
    """Lay cells of equal width over all but the outermost rows, and over each buckets in proportion to its rows."""
    image = kernel.images(values, bits)
    upto = np.cumsum(weights)
    outer = upto[-1] / (2 * size)
    low, high = (float(image[np.searchsorted(upto, at)]) for at in (outer, upto[-1] - outer))
    if not low < high:
        low, high = float(image[0]), float(image[-1])
    number = size // A_CELL
    scale = min(number / (high - low), kernel.LARGEST) if low < high else 0.0
    cell = np.clip((image - low) * scale, 0, number - 1).astype(np.int64)
    starts = np.searchsorted(cell, np.arange(number + 1))
    shares = np.concatenate([[0.0], upto])[starts] / upto[-1]
    first = np.minimum(np.floor(shares[:-1] * size), size - 1)
    last = np.maximum(np.minimum(np.floor(shares[1:] * size), size) - 1, first)
    begin = image[np.minimum(starts[:-1], len(image) - 1)]
    width = image[np.maximum(starts[1:] - 1, 0)] - begin
    with np.errstate(divide="ignore", over="ignore"):
        slope = np.where(width > 0, np.minimum((last - first + 1) / width, kernel.LARGEST), 0.0)
    return low, scale, np.ascontiguousarray(np.stack([begin, slope, first, last], axis=1))


def _heaviest(buckets: NDArray[np.uint32], importance: Counts) -> NDArray[np.intp]:
    """Return the position of the most important value of each bucket that has any; of equals, the middle one."""
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] + 1))
    ends = np.append(starts[1:], len(buckets))
    most = np.maximum.reduceat(importance, starts)
    middle = (starts + ends - 1) // 2
    candidates = np.flatnonzero(importance == np.repeat(most, ends - starts))
    return np.where(importance[middle] == most, middle, candidates[np.searchsorted(candidates, starts)])


def away(values: Values, low: float, high: float, centre: float) -> NDArray[np.float64]:
    """Return values - centre as floats, exactly where whole numbers allow it; no value lies outside low and high."""
    if values.dtype == np.int64 and isinstance(centre, int) and max(high - centre, centre - low) < 2**63:
        return (values - centre).astype(np.float64)
    return values.astype(np.float64) - centre
