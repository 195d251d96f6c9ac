"""What tells which rows belong to which segment where rows are never here together: it is asked block by block."""

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
        Returns a mask per segment, in the order of the rows of a block. It is sent to executors, so it is a function of
        a module, or a `partial` of one.
    """

    names: Sequence[str]
    columns: Sequence[str]
    mark: Callable[[pl.DataFrame], Mapping[str, pl.Series]]
