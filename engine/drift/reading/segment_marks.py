"""A function that marks the rows of segments block by block, for rows that are never in this process together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class SegmentMarks:
    """Tells which rows of a block belong to which segment.

    Attributes
    ----------
    names
        The segments.
    columns
        The columns that `mark` needs.
    mark
        Returns a mask per segment, in the order of the rows of a block. It is sent to executors, so it must be a
        function of a module, or a `partial` of one.
    """

    names: Sequence[str]
    columns: Sequence[str]
    mark: Callable[[pl.DataFrame], Mapping[str, pl.Series]]
