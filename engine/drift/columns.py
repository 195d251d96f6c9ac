"""What is kept of one column of a sample: a table of values with counts, and what lies in the gaps between them.

A column is *exact* when every row's value is in the table. Where there are too many values for that, the table holds
some thousands of them and the rest is known by gap: how many rows, and their sum. Then every figure is an interval,
narrow and certain. A sketch (KLL, t-digest) would need no more code, but its errors have no certain bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import isfinite, nan
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.apart import Sums
from engine.drift.kernels.counting import Counts, Values, align, places
from engine.drift.kernels.spread import spread
from engine.drift.kernels.text import align_text
from engine.drift.ladder import Ladder, away, evenly
from engine.drift.roles import Role

_ONCE = np.empty(0, np.int64)

Positions = NDArray[np.int32]
"""For each entity, where in a table its one row's value is; -1 where it is missing."""


@dataclass(frozen=True, slots=True)
class Moments:
    """How many rows have a value, the sum of squared deviations from their mean, their smallest and largest value.

    The mean is `centre + offset`: far from zero it has too few digits for the means of parts to be compared.
    """

    rows: int = 0
    centre: float = 0.0
    offset: float = nan
    squares: float = nan
    low: float = nan
    high: float = nan

    @classmethod
    def of(cls, values: Values, counts: Counts | None = None, centre: float | None = None) -> Self:
        """Measure values, each once or as often as `counts` says; where one is infinite, mean and squares are NaN."""
        if not len(values):
            return cls()
        low, high = values.min().item(), values.max().item()
        rows = len(values) if counts is None else int(counts.sum())
        if centre is None:
            centre = values[len(values) // 2].item()
            centre = centre if isfinite(centre) else 0.0
        offset, squares = spread(values, _ONCE if counts is None else counts, values.dtype.type(centre))
        finite = isfinite(offset) and isfinite(squares)
        return cls(rows, centre, offset if finite else nan, squares if finite else nan, low, high)

    @property
    def mean(self) -> float:
        """The mean."""
        return self.centre + self.offset

    def __add__(self, other: "Moments") -> "Moments":
        """Return those of both together (Chan, Golub and LeVeque 1979)."""
        if not (self.rows and other.rows):
            return self if self.rows else other
        rows = self.rows + other.rows
        apart = other.offset - self.offset + (other.centre - self.centre)
        return Moments(
            rows,
            self.centre,
            self.offset + apart * (other.rows / rows),
            self.squares + other.squares + apart * apart * (self.rows * (other.rows / rows)),
            min(self.low, other.low),
            max(self.high, other.high),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """What lies below the first value, between neighbours, and above the last.

    `counts` are rows, `sums` of how far they are from the centre.
    """

    counts: Counts
    sums: Sums
    centre: float


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """One row's value of each entity: ascending distinct `values`, and where in them it is."""

    values: Values
    at: Positions


@dataclass(frozen=True, eq=False)
class Numerical:
    """Ascending `values` (float64 or int64) with their `counts`, how many rows are `missing`, and `moments`.

    `gaps` is None where the column is exact; else a value may have a count of 0: it is known that no row has it.
    """

    values: Values
    counts: Counts
    missing: int
    moments: Moments
    gaps: Gaps | None = None
    chosen: Chosen | None = None

    role = Role.NUMERICAL

    @classmethod
    def exact(cls, values: Values, counts: Counts, missing: int, chosen: Chosen | None = None) -> Self:
        """Return the column of all values and their counts."""
        return cls(values, counts, missing, Moments.of(values, counts), None, chosen)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.moments.rows

    @cached_property
    def upto(self) -> Counts:
        """How many rows are up to each value."""
        counts = self.counts if self.gaps is None else self.counts + self.gaps.counts[:-1]
        return np.cumsum(counts)

    @cached_property
    def _ladders(self) -> dict[int, Ladder]:
        return {}

    def ladder(self, size: int) -> Ladder:
        """Return the ladder of at most `size` rungs to count other samples on; made once."""
        if size not in self._ladders:
            self._ladders[size] = Ladder.of(self.values, self.counts, size)
        return self._ladders[size]

    def one_per_entity(self) -> "Numerical":
        """Return the column of one row per entity; itself where no entity is declared."""
        if self.chosen is None:
            return self
        present = self.chosen.at[self.chosen.at >= 0]
        counts = np.bincount(present, minlength=len(self.chosen.values)).astype(np.int64)
        return Numerical.exact(self.chosen.values, counts, len(self.chosen.at) - len(present))

    @property
    def centre(self) -> float:
        """What sums of values are about."""
        return self.moments.centre if self.gaps is None else self.gaps.centre

    @cached_property
    def _away(self) -> NDArray[np.float64]:
        """How far from the centre the rows of each value are together; and a zero."""
        low, high = (self.values[i].item() for i in (0, -1)) if len(self.values) else (0, 0)
        apart = away(self.values, low, high, self.centre)
        return np.append(np.where(self.counts, apart, 0.0) * self.counts, 0.0)

    @property
    def deciles(self) -> Values:
        """The values at which a tenth, two tenths … nine tenths of the rows are reached; of no values, none."""
        return self.values[evenly(self.upto, 10)[:-1]] if len(self.values) else self.values

    def knows(self, values: Values) -> NDArray[np.bool_]:
        """Return of which of `values` it is known how many rows are below, on and above them."""
        if self.gaps is None:
            return np.ones(len(values), np.bool_)
        at, found = self._places(values)
        return np.asarray((self.gaps.counts[at] == 0) | found)

    def _places(self, values: Values) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return how many of the column's values are below each of `values`, which ascend, and which it has."""
        at = places(self.values, values)
        if not len(self.values):
            return at, np.zeros(len(values), np.bool_)
        return at, self.values[np.minimum(at, len(self.values) - 1)] == values

    def as_floats(self) -> "Numerical":
        """Return the column as float64; whole numbers beyond 2**53 may become equal, and their counts add up."""
        if self.values.dtype == np.float64:
            return self
        values, starts = np.unique(self.values.astype(np.float64), return_index=True)
        chosen = self.chosen and _chosen_as_floats(self.chosen)
        if self.gaps is None:
            counts = np.add.reduceat(self.counts, starts) if len(starts) else self.counts
            return Numerical.exact(values, counts, self.missing, chosen)
        column = self._apart_as_floats(starts)
        values, starts = np.unique(column.values.astype(np.float64), return_index=True)
        gaps = column.gaps or self.gaps
        # what lies between two that become equal becomes equal to them
        outer = np.append(starts, len(column.values))
        inner = gaps.counts.copy()
        inner[outer] = 0
        counts = np.add.reduceat(column.counts + inner[:-1], starts) if len(starts) else column.counts
        centre = float(gaps.centre)
        sums = (gaps.sums + float(gaps.centre - centre) * gaps.counts)[outer]
        moments = replace(self.moments, low=float(self.moments.low), high=float(self.moments.high))
        return Numerical(values, counts, self.missing, moments, Gaps(gaps.counts[outer], sums, centre), chosen)

    def _apart_as_floats(self, starts: NDArray[np.intp]) -> "Numerical":
        """Return the column on those of its values that no row of a gap becomes equal to when all become floats.

        `starts` are the places of the first of those values that become equal to each other.
        """
        if self.gaps is None or not len(starts):
            return self
        ends = np.append(starts[1:], len(self.values)) - 1
        below, above = self.values[starts], self.values[ends]
        reached = (self.gaps.counts[starts] > 0) & ((below - 1).astype(np.float64) == below.astype(np.float64))
        reached |= (self.gaps.counts[ends + 1] > 0) & ((above + 1).astype(np.float64) == above.astype(np.float64))
        if not reached.any():
            return self
        values = self.values[np.repeat(~reached, ends + 1 - starts)]
        on, gaps = self.at(values, self.gaps.centre)
        return Numerical(values, on, self.missing, self.moments, gaps)

    def merge(self, other: "Column", keep: NDArray[np.intp] | None) -> "Numerical":
        """Return the column of both samples together; `keep` says which of the chosen rows of both stay."""
        if not isinstance(other, Numerical):
            raise TypeError(f"a numerical column and {type(other).__name__}")
        a, b = one_type(self, other)
        chosen = None if keep is None or a.chosen is None or b.chosen is None else _both(a.chosen, b.chosen, keep)
        missing = a.missing + b.missing
        if a.gaps is None and b.gaps is None:
            values, of_a, of_b = align(a.values, a.counts, b.values, b.counts)
            return Numerical.exact(values, of_a + of_b, missing, chosen)
        values = np.unique(np.concatenate([a.values[b.knows(a.values)], b.values[a.knows(b.values)]]))
        centre = (a if a.gaps else b).centre
        (on_a, gaps_a), (on_b, gaps_b) = a.at(values, centre), b.at(values, centre)
        gaps = Gaps(gaps_a.counts + gaps_b.counts, gaps_a.sums + gaps_b.sums, centre)
        return Numerical(values, on_a + on_b, missing, a.moments + b.moments, gaps, chosen)

    def at(self, values: Values, centre: float) -> tuple[Counts, Gaps]:
        """Return how many rows are on each of `values`, all of which it must know, and what is in the gaps between."""
        left, found = self._places(values)
        right = left + found
        on = np.where(found, np.append(self.counts, 0)[left], 0)
        below = np.append(0, self.upto)[left]
        starts, ends = np.append(0, right), np.append(left, len(self.values))
        cuts = np.stack([starts, ends], axis=1).ravel()
        sums = np.add.reduceat(self._away, cuts)[::2]
        sums[starts == ends] = 0.0
        if self.gaps is not None:
            below += self.gaps.counts[left]
            sums += np.add.reduceat(np.append(self.gaps.sums, 0.0), cuts + np.tile([0, 1], len(starts)))[::2]
        rows = np.append(below, self.present) - np.append(0, below + on)
        sums += float(self.centre - centre) * rows  # of whole numbers, 64 bits would not hold it
        return on, Gaps(rows, sums, centre)

    def beside(self, other: "Numerical") -> "Numerical":
        """Return the column with no more values than tell how far it is apart from `other`, which has gaps.

        Between two values of the other, while nothing of the other is there, the distance only grows: the values there
        matter where it passes zero.
        """
        if self.gaps is not None or other.gaps is None or len(self.values) < 4 * len(other.values):
            return self
        crossing = crossings(self, other) & (other.gaps.counts == 0)
        left, found = self._places(other.values)
        starts, ends = np.append(0, left + found)[crossing], np.append(left, len(self.values))[crossing]
        between = [self.values[i:j] for i, j in zip(starts, ends, strict=True)]
        values = np.concatenate([other.values, *between])
        values.sort()
        on, gaps = self.at(values, other.gaps.centre)
        return Numerical(values, on, self.missing, self.moments, gaps)


def rows_about(column: Numerical, other: Numerical) -> tuple[Counts, Counts]:
    """Return, for each gap of `other`, the rows of the column up to its beginning, and those below its end."""
    upto = np.append(0, column.upto)
    if column is other and column.gaps is not None:
        return upto, upto + column.gaps.counts
    at, found = column._places(other.values)
    return np.append(0, upto[at + found]), np.append(upto[at], column.present)


def crossings(exact: Numerical, other: Numerical) -> NDArray[np.bool_]:
    """Return the gaps of `other` in which the difference of the two distribution functions may change its sign."""
    n, m = exact.present, other.present
    (start, end), (its_start, its_end) = rows_about(exact, other), rows_about(other, other)
    return np.asarray((end * m > its_start * n) & (its_end * n > start * m))


def one_type(a: Numerical, b: Numerical) -> tuple[Numerical, Numerical]:
    """Return both as floats unless both are of whole numbers."""
    return (a, b) if a.values.dtype == b.values.dtype else (a.as_floats(), b.as_floats())


def _chosen_as_floats(chosen: Chosen) -> Chosen:
    values, to = np.unique(chosen.values.astype(np.float64), return_inverse=True)
    return Chosen(values, np.append(to, -1).astype(np.int32)[chosen.at])


def _both(a: Chosen, b: Chosen, keep: NDArray[np.intp]) -> Chosen:
    """Return what both chose, of which `keep` stays."""
    values = np.union1d(a.values, b.values)
    at = [np.append(np.searchsorted(values, side.values), -1)[side.at] for side in (a, b)]
    used, to = np.unique(np.concatenate(at)[keep], return_inverse=True)
    missing = used < 0
    return Chosen(values[used[~missing]], (to - missing.sum()).astype(np.int32))


@dataclass(frozen=True, eq=False)
class Categorical:
    """Distinct texts with their `counts`, how many rows are `missing`.

    The texts are in ascending order of their UTF-8 bytes, one after the other in `text`, each up to its `ends`.
    `chosen` holds, for each entity, the position of its one row's text, -1 where it is missing.
    """

    text: NDArray[np.uint8]
    ends: Counts
    counts: Counts
    missing: int
    chosen: Positions | None = None

    role = Role.CATEGORICAL

    @classmethod
    def of(cls, labels: Sequence[str], counts: Counts, missing: int, chosen: Positions | None = None) -> Self:
        """Return the column of labels in ascending order and their counts."""
        encoded = [label.encode() for label in labels]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        return cls(np.frombuffer(b"".join(encoded), np.uint8).copy(), ends, counts, missing, chosen)

    @property
    def labels(self) -> list[str]:
        """The texts."""
        text = self.text.tobytes()
        return [text[i:j].decode() for i, j in pairwise([0, *self.ends.tolist()])]

    @property
    def present(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    def label(self, position: int) -> str:
        """Return one text."""
        start = self.ends[position - 1] if position else 0
        return self.text[start : self.ends[position]].tobytes().decode()

    def one_per_entity(self) -> "Categorical":
        """Return the column of one row per entity; itself where no entity is declared."""
        if self.chosen is None:
            return self
        present = self.chosen[self.chosen >= 0]
        counts = np.bincount(present, minlength=len(self.counts)).astype(np.int64)
        return Categorical(self.text, self.ends, counts, len(self.chosen) - len(present))

    def merge(self, other: "Column", keep: NDArray[np.intp] | None) -> "Categorical":
        """Return the column of both samples together; `keep` says which of the chosen rows of both stay."""
        if not isinstance(other, Categorical):
            raise TypeError(f"a categorical column and {type(other).__name__}")
        to_a, to_b, size = align_text(self.text, self.ends, other.text, other.ends)
        counts = np.zeros(size, np.int64)
        counts[to_a] += self.counts
        counts[to_b] += other.counts
        labels = [""] * size
        for column, to in ((self, to_a), (other, to_b)):
            for label, place in zip(column.labels, to.tolist(), strict=True):
                labels[place] = label
        chosen = None
        if keep is not None and self.chosen is not None and other.chosen is not None:
            moved = [np.append(to, -1)[side.chosen] for side, to in ((self, to_a), (other, to_b))]
            chosen = np.concatenate(moved)[keep].astype(np.int32)
        return Categorical.of(labels, counts, self.missing + other.missing, chosen)


def side_by_side(a: Categorical, b: Categorical) -> tuple[Counts, Counts, NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of each over the union of the texts, and where in it the texts of each are."""
    if np.array_equal(a.ends, b.ends) and np.array_equal(a.text, b.text):
        same = np.arange(len(a.ends))
        return a.counts, b.counts, same, same
    to_a, to_b, size = align_text(a.text, a.ends, b.text, b.ends)
    counts = np.zeros((2, size), np.int64)
    counts[0, to_a], counts[1, to_b] = a.counts, b.counts
    return counts[0], counts[1], to_a, to_b


Column = Numerical | Categorical


@dataclass(frozen=True, slots=True, eq=False)
class Entities:
    """The entities of a sample in the order of their `keys`; of each one row is chosen, whose hash is in `rows`."""

    column: str
    keys: NDArray[np.uint64]
    rows: NDArray[np.uint64]
