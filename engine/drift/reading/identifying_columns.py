"""Find columns that identify rows: text with nearly only distinct values, and integers that count up.

The rows are examined where they are stored: in a polars frame, or by Spark's executors.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

import polars as pl

from engine.drift.reading.blocks import count_frame_rows
from engine.drift.reading.normalization import Role, column_named
from engine.drift.reading.text_readings import MIN_SHARE, Notation, recognize_texts

FEW_ROWS = 20
"""With fewer rows, "nearly all distinct" and "counts up" may be chance, so no column is left out for them."""

HEAD_ROWS = 10_000
"""Minimum number of rows examined first: for fewer, a second query costs more than it saves."""

_NEARLY_DISTINCT = "an identifier: nearly every value is different"
COUNTS_UP = "counts up with row order"
"""The reason for leaving out such a column."""

_TEXTS_EXAMINED = 1000
"""Number of values of a text column that are searched for numbers or dates in another notation."""

_VALUES_IN_MEMORY = 10_000_000
"""Maximum number of values that are examined in memory at once."""


class ExaminedRows(Protocol):
    """Rows in which columns that identify them are searched."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The types of the columns."""

    def count(self) -> int:
        """Return the number of rows."""

    def head(self, names: Collection[str], rows: int) -> pl.LazyFrame:
        """Return these columns of about the first `rows` rows."""

    def filter_candidates(self, candidates: Mapping[str, str], total: int) -> dict[str, str]:
        """Return the candidates that are identifiers or counters, judged by all rows (see `filter_candidates`)."""


class FrameRows:
    """The rows of a polars frame."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame, self.schema = frame, frame.collect_schema()

    def count(self) -> int:
        return count_frame_rows(self._frame)

    def head(self, names: Collection[str], rows: int) -> pl.LazyFrame:
        return self._frame.select(map(column_named, names)).head(rows)

    def filter_candidates(self, candidates: Mapping[str, str], total: int) -> dict[str, str]:
        return filter_candidates(self._frame, candidates, total, total)


def find_identifying_columns(examined: ExaminedRows, columns: Mapping[str, Role], *, counters: bool) -> dict[str, str]:
    """Return the text columns that are nearly all distinct and the integer columns that count up, with the reason."""
    schema = examined.schema
    texts = [name for name, role in columns.items() if role is Role.CATEGORICAL and schema[name] != pl.Boolean]
    integers = [name for name in columns if counters and schema[name].is_integer()]
    candidates = dict.fromkeys(texts, _NEARLY_DISTINCT) | dict.fromkeys(integers, COUNTS_UP)
    rows = examined.count() if candidates else 0
    if rows < FEW_ROWS:
        return {}
    head = max(rows // 8, HEAD_ROWS)
    if head < rows:
        candidates = filter_candidates(examined.head(candidates, head), candidates, head, rows)
    return _name_notations(examined, examined.filter_candidates(candidates, rows))


def _name_notations(examined: ExaminedRows, left_out: Mapping[str, str]) -> dict[str, str]:
    """Return the reasons; a text column of numbers or dates in another notation is not called an identifier."""
    schema = examined.schema
    texts = [name for name, reason in left_out.items() if reason == _NEARLY_DISTINCT and schema[name] == pl.String]
    if not texts:
        return dict(left_out)
    head = examined.head(texts, _TEXTS_EXAMINED).collect(engine="streaming")
    found = {name: recognize_texts(head[name], Notation()) for name in texts}
    return {**left_out} | {
        name: f"text that looks like {one.reading.describe()}, such as {one.example!r}: nearly every value is "
        "different, so it is compared only once it is read as such"
        for name, one in found.items()
        if one.reading is not None and one.share >= MIN_SHARE
    }


def filter_candidates(frame: pl.LazyFrame, candidates: Mapping[str, str], rows: int, total: int) -> dict[str, str]:
    """Return the candidates that may still be identifiers or counters, judged by these rows.

    These are the first `rows` of `total` rows. A text column identifies rows if fewer than 1 in 20 of its values repeat
    an earlier one. Further rows cannot reduce the repeats, and at most all of them have a value, so a column is no
    longer a candidate as soon as 20 * repeats >= the largest possible number of values. Texts are compared by 64-bit
    hashes, in half the time and a third of the memory; polars' own hash suffices, because only the number of distinct
    values counts.
    """
    if not candidates:
        return {}
    tests = []
    for name, reason in candidates.items():
        column = column_named(name)
        if reason == COUNTS_UP:
            tests.append(((column > column.shift()).sum() == pl.len() - 1).alias(name))
        else:
            present = column.count().cast(pl.Int64)
            at_most = present + total - pl.len().cast(pl.Int64)
            repeats = present - column.drop_nulls().hash().n_unique().cast(pl.Int64)
            tests.append(((20 * repeats < at_most) & (at_most >= FEW_ROWS)).alias(name))
    # the streaming engine takes a millisecond per test, even for few rows
    small = rows * len(candidates) <= _VALUES_IN_MEMORY
    remains = frame.select(tests).collect(engine="in-memory" if small else "streaming").row(0, named=True)
    return {name: reason for name, reason in candidates.items() if remains[name]}
