"""The profile of a categorical column: all its categories with their counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.entity_rows import Positions
from engine.drift.kernels.text_merge import merge_texts
from engine.drift.kernels.value_tables import Counts
from engine.drift.reading.normalization import Role


@dataclass(frozen=True, eq=False)
class Categorical:
    """The profile of a categorical column: distinct labels with their `counts`, and the number of `missing` rows.

    The labels ascend by their UTF-8 bytes and are stored one after another in `text`; label i ends at byte `ends[i]`.
    `entity_rows` holds, for one row per entity (see `Entities`), the position of its label, or -1 where missing.
    """

    text: NDArray[np.uint8]
    ends: Counts
    counts: Counts
    missing: int
    entity_rows: Positions | None = None

    role = Role.CATEGORICAL

    @classmethod
    def from_labels(
        cls, labels: Sequence[str], counts: Counts, missing: int, entity_rows: Positions | None = None
    ) -> Self:
        """Return the column of labels, ascending by their UTF-8 bytes, and their counts."""
        joined = "".join(labels)
        sizes = map(len, labels) if joined.isascii() else (len(label.encode()) for label in labels)
        ends = np.cumsum(np.fromiter(sizes, np.int64, len(labels)))
        return cls(np.frombuffer(joined.encode(), np.uint8).copy(), ends, counts, missing, entity_rows)

    @property
    def labels(self) -> list[str]:
        """All labels as Python strings."""
        text = self.text.tobytes()
        return [text[i:j].decode() for i, j in pairwise([0, *self.ends.tolist()])]

    @property
    def present(self) -> int:
        """Number of rows with a value."""
        return int(self.counts.sum())

    def label_at(self, position: int) -> str:
        """Return the label at a position; the others are not decoded."""
        start = self.ends[position - 1] if position else 0
        return self.text[start : self.ends[position]].tobytes().decode()

    def one_per_entity(self) -> "Categorical":
        """Return the column reduced to one row per entity, or the column itself without entities."""
        if self.entity_rows is None:
            return self
        present = self.entity_rows[self.entity_rows >= 0]
        counts = np.bincount(present, minlength=len(self.counts)).astype(np.int64)
        return Categorical(self.text, self.ends, counts, len(self.entity_rows) - len(present))

    def merge(self, other: object, keep: NDArray[np.intp] | None) -> "Categorical":
        """Return the column of both samples together.

        `keep` selects one row per entity of the result: positions in this column's entities followed by the other's. It
        is None without entities.
        """
        if not isinstance(other, Categorical):
            raise TypeError(f"a categorical column cannot be merged with {type(other).__name__}")
        to_a, to_b, size = merge_texts(self.text, self.ends, other.text, other.ends)
        counts = np.zeros(size, np.int64)
        counts[to_a] += self.counts
        counts[to_b] += other.counts
        labels = [""] * size
        for column, new_positions in ((self, to_a), (other, to_b)):
            for label, position in zip(column.labels, new_positions.tolist(), strict=True):
                labels[position] = label
        entity_rows = None
        if keep is not None and self.entity_rows is not None and other.entity_rows is not None:
            # position -1 (missing) selects the appended last element, so it stays -1
            moved = [np.append(to, -1)[side.entity_rows] for side, to in ((self, to_a), (other, to_b))]
            entity_rows = np.concatenate(moved)[keep].astype(np.int32)
        return Categorical.from_labels(labels, counts, self.missing + other.missing, entity_rows)


def align_categories(a: Categorical, b: Categorical) -> tuple[Counts, Counts, NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of both columns over the union of their labels, and the positions of their labels in it."""
    if np.array_equal(a.ends, b.ends) and np.array_equal(a.text, b.text):
        same = np.arange(len(a.ends))
        return a.counts, b.counts, same, same
    to_a, to_b, size = merge_texts(a.text, a.ends, b.text, b.ends)
    counts = np.zeros((2, size), np.int64)
    counts[0, to_a], counts[1, to_b] = a.counts, b.counts
    return counts[0], counts[1], to_a, to_b
