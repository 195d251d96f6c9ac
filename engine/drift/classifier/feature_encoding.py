"""Encode the columns of both sides as one-byte codes, on which the trees of the drift model are trained.

Code 0 stands for a missing value in every column. A number becomes the index of its bin; the bin edges are quantiles of
both sides together. 250 bins are needed: a quarter of that suffices for synthetic data, but does not detect a timetable
that moved by minutes. Categories are numbered by descending frequency. The encoding does not depend on which side a row
belongs to.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.distributions.category_counter import CategoryCounter
from engine.drift.kernels.boosting import assign_bins
from engine.drift.kernels.tree_splits import Codes
from engine.drift.reading.normalization import Role, as_categories, plan_normalization
from engine.drift.threads import parallel_map

MAX_BINS = 250
"""Maximum number of bins of a numerical column: with the code for missing values they fit one byte."""

EDGE_ROWS = 20_000
"""Number of rows from which the bin edges are computed."""

MAX_CODED_CATEGORIES = 254
"""Number of categories, the most frequent ones, with a code of their own; all others share one more code."""


def encode_features(
    frames: Sequence[pl.DataFrame], roles: Mapping[str, Role], order: NDArray[np.intp]
) -> tuple[Codes, NDArray[np.int64]]:
    """Encode the rows of all frames.

    Parameters
    ----------
    order
        Positions in the concatenated frames, in the order of the result. The order must be random, because the bin
        edges are computed from the first rows, which must represent the rows of all frames.

    Returns
    -------
    codes, starts
        Codes, rows x columns of uint8; and the cumulative numbers of codes per column, starting with 0.

    Raises
    ------
    DataError
        A column cannot be read in its role.
    """
    read = [normalize_features(frame, roles) for frame in frames]

    def unite(name: str, dtype: type[pl.DataType]) -> pl.Series:
        # renamed, because polars takes some names for patterns; cast, because the types of the sides may differ
        return pl.concat([frame.get_column(name).alias("").cast(dtype) for frame in read])

    texts = {str(i): unite(name, pl.String) for i, name in enumerate(roles) if roles[name] is Role.CATEGORICAL}
    categories = _encode_categories(pl.DataFrame(texts))
    codes = np.empty((len(order), len(roles)), np.uint8)

    def encode(i: int, name: str) -> int:
        if roles[name] is Role.NUMERICAL:
            column = _encode_numbers(unite(name, pl.Float64).to_numpy()[order])
        else:
            column = categories.get_column(str(i)).to_numpy()[order]
        codes[:, i] = column
        return int(column.max()) + 1

    sizes = parallel_map(lambda one: encode(*one), enumerate(roles))
    return codes, np.concatenate([[0], np.cumsum(sizes)])


def normalize_features(frame: pl.DataFrame, roles: Mapping[str, Role]) -> pl.DataFrame:
    """Return the columns of `roles` as numbers and as texts, by their roles; missing values are null."""
    reading = plan_normalization(frame.lazy(), roles)
    read = frame.select(reading.values())
    schema = read.schema
    texts = (as_categories(name, schema[name]) for name, role in roles.items() if role is Role.CATEGORICAL)
    return read.with_columns(*texts)


def _encode_numbers(values: NDArray[np.float64]) -> Codes:
    """Return the bin of each value, counted from 1; 0 for NaN."""
    # NaN is sorted to the end
    sample = np.sort(values[:EDGE_ROWS])
    sample = sample[: len(sample) - np.isnan(sample).sum()]
    # the edges are the distinct values if there are few, else equidistant quantiles of the sample
    # (an element is kept if it differs from the one before it; the first always, if there is one)
    distinct = sample[np.concatenate([sample[:1] == sample[:1], sample[1:] != sample[:-1]])]
    if len(distinct) > MAX_BINS:
        distinct = np.unique(sample[np.arange(1, MAX_BINS) * len(sample) // MAX_BINS])
    return assign_bins(values, distinct)


def _encode_categories(texts: pl.DataFrame) -> pl.DataFrame:
    """Return the rank of each category of its column by frequency, counted from 1; 0 for a missing value.

    Categories of equal frequency are ranked by name, so the codes do not depend on the order of the rows.
    """
    # one query for all columns: there may be thousands, and a query of polars takes a millisecond
    return texts.select(_rank_categories(text) for text in texts)


def _rank_categories(text: pl.Series) -> pl.Expr:
    """Return an expression for the ranks of the categories of a column."""
    counted = CategoryCounter()
    counted.add(text)
    labels, counts = counted.sorted_counts()
    coded_labels = labels[np.argsort(-counts, kind="stable")[:MAX_CODED_CATEGORIES]]
    ranks = pl.int_range(1, len(coded_labels) + 1, dtype=pl.UInt8, eager=True)
    column = pl.col(text.name)
    ranked = column.replace_strict(coded_labels, ranks, default=MAX_CODED_CATEGORIES + 1, return_dtype=pl.UInt8)
    return pl.when(column.is_not_null()).then(ranked).otherwise(pl.lit(0, pl.UInt8)).alias(text.name)
