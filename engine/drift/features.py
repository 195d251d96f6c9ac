"""Columns of both sides as the codes of one byte that trees are trained on.

One code is for what is missing, whatever the column. Numbers become the number of the bin between quantiles of both
sides together: a fourth of as many bins would do for made-up data, and misses that a timetable has moved by minutes.
Categories are numbered by frequency. Nothing here looks at which side a row is from.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.canonical import as_categories, plan
from engine.drift.kernels.boosting import Codes, bins
from engine.drift.roles import Role

BINS = 250

EDGE_ROWS = 20_000
"""Rows that the edges between bins are taken from."""

MOST_CATEGORIES = 254
"""Categories that are told apart in one column, the most frequent ones; the rest are one more."""


def coded(
    frames: Sequence[pl.DataFrame], roles: Mapping[str, Role], order: NDArray[np.intp]
) -> tuple[Codes, NDArray[np.int64]]:
    """Return the rows of all frames, one frame after another and then put into `order`: rows x columns of codes.

    `order` must be random as far as the values are concerned: the first rows stand for all. The second array is the
    running sum, from 0, of the columns' numbers of codes.

    Raises
    ------
    DataError
        A column cannot be read in its role.
    """
    read = [_read(frame, roles) for frame in frames]
    codes = np.empty((len(order), len(roles)), np.uint8)
    sizes = np.empty(len(roles), np.int64)
    for at, (name, role) in enumerate(roles.items()):
        # polars would take some names for patterns
        column = pl.concat([frame.get_column(name).alias("value") for frame in read])
        if role is Role.NUMERICAL:
            codes[:, at] = _binned(column.cast(pl.Float64).to_numpy()[order])
        else:
            codes[:, at] = _numbered(column)[order]
        sizes[at] = int(codes[:, at].max()) + 1
    return codes, np.concatenate([[0], np.cumsum(sizes)])


def _read(frame: pl.DataFrame, roles: Mapping[str, Role]) -> pl.DataFrame:
    reading = plan(frame.lazy(), roles)
    read = frame.select(reading.values())
    texts = (as_categories(name, read.schema[name]) for name, role in roles.items() if role is Role.CATEGORICAL)
    return read.with_columns(*texts)


def _binned(values: NDArray[np.float64]) -> Codes:
    """Return the numbers of the values' bins, from 1; missing ones are 0."""
    some = np.sort(values[:EDGE_ROWS])
    some = some[: len(some) - np.isnan(some).sum()]
    distinct = some[np.concatenate([some[:1] == some[:1], some[1:] != some[:-1]])]
    if len(distinct) > BINS:
        distinct = np.unique(some[np.arange(1, BINS) * len(some) // BINS])
    return bins(values, distinct)


def _numbered(text: pl.Series) -> Codes:
    """Return the categories' numbers, from 1, the most frequent first; missing ones are 0."""
    found = text.drop_nulls().value_counts(name="count").sort(["count", text.name], descending=[True, False])
    known = found[text.name].head(MOST_CATEGORIES)
    if not len(known):
        return np.zeros(len(text), np.uint8)
    numbers = pl.int_range(1, len(known) + 1, dtype=pl.UInt8, eager=True)
    codes = text.replace_strict(known, numbers, default=MOST_CATEGORIES + 1, return_dtype=pl.UInt8).to_numpy()
    return np.where(text.is_null().to_numpy(), 0, codes).astype(np.uint8)
