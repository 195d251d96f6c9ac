"""The rows of both sides as codes, and conditions that select codes: a number below or above a bound, a category."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.classifier.feature_encoding import normalize_features
from engine.drift.kernels.boosting import assign_bins
from engine.drift.kernels.tree_splits import Codes
from engine.drift.reading.normalization import Role

BINS = 20
"""Maximum number of intervals of a number, whose ends are bounds of conditions, and of categories with a condition."""

MAX_LABEL_CHARACTERS = 100
"""Maximum number of characters of a category that has a condition."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one column: a number up to or above a bound, a category, or a missing value."""

    column: str
    relation: Literal["<=", ">", "=", "missing"]
    value: float | str | None = None

    @property
    def sort_key(self) -> tuple[str, str, str]:
        """The key by which conditions are sorted."""
        return self.column, self.relation, str(self.value)


@dataclass(frozen=True, slots=True)
class SplitColumn:
    """The conditions on a column; `selected` is the mask of codes that each selects, shape (conditions, codes)."""

    conditions: Sequence[Condition]
    selected: Mask


@dataclass(frozen=True, slots=True)
class CodedRows:
    """The rows of both sides.

    Attributes
    ----------
    columns
        The columns, in the order of the axis `columns` of `codes`.
    codes
        0 for a missing value; else the interval of a number or the number of a category; shape (rows, columns).
    bins
        The codes, with pairs of a number's intervals united: ten bins show a shift better than twenty.
    starts
        The first bin of each column among the bins of all, and the total number of bins, shape (columns + 1,).
    side
        1 for the batch, shape (rows,).
    losses
        NaN if unknown, shape (rows,).
    """

    columns: Mapping[str, SplitColumn]
    codes: Codes
    bins: Codes
    starts: Ints
    side: Ints
    losses: Floats | None

    def take(self, mask: Mask) -> "CodedRows":
        """Return the selected rows."""
        rows = np.flatnonzero(mask)
        losses = None if self.losses is None else self.losses[rows]
        return replace(self, codes=self.codes[rows], bins=self.bins[rows], side=self.side[rows], losses=losses)

    def select(self, conditions: Sequence[Condition]) -> Mask:
        """Return the mask of rows for which all conditions hold."""
        held = np.ones(len(self.side), np.bool_)
        for one in conditions:
            column = self.columns[one.column]
            codes = self.codes[:, [*self.columns].index(one.column)]
            held &= column.selected[column.conditions.index(one)][codes]
        return held


def encode_rows(sides: Sequence[pl.DataFrame], roles: Mapping[str, Role], losses: Sequence[Floats] | None) -> CodedRows:
    """Encode the rows of reference and batch, in this order."""
    read = [normalize_features(side, roles) for side in sides]
    columns, codes, bins = {}, [], []
    for name, role in roles.items():
        dtype = pl.Float64 if role is Role.NUMERICAL else pl.String
        column = pl.concat([side.get_column(name).alias("value").cast(dtype) for side in read])
        encode = _code_numbers if role is Role.NUMERICAL else _code_categories
        of_rows, columns[name] = encode(name, column)
        codes.append(of_rows)
        paired = role is Role.NUMERICAL and columns[name].selected.shape[1] > BINS // 2 + 2
        bins.append((of_rows + np.uint8(1)) // np.uint8(2) if paired else of_rows)
    sizes = [int(one.max(initial=0)) + 1 for one in bins]
    return CodedRows(
        columns,
        np.stack(codes, axis=1),
        np.stack(bins, axis=1),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.repeat(np.array([0, 1], np.int64), [one.height for one in sides]),
        None if losses is None else np.concatenate(losses),
    )


def _code_numbers(name: str, column: pl.Series) -> tuple[Codes, SplitColumn]:
    values = np.ascontiguousarray(column.fill_null(np.nan).to_numpy(), np.float64)
    bounds = choose_bounds(values)
    codes = np.arange(len(bounds) + 2)
    below = (codes >= 1) & (codes <= np.arange(1, len(bounds) + 1)[:, None])
    conditions = [
        Condition(name, "missing"),
        *(Condition(name, "<=", float(bound)) for bound in bounds),
        *(Condition(name, ">", float(bound)) for bound in bounds),
    ]
    selected = np.concatenate([(codes == 0)[None], below, ~below & (codes >= 1)])
    return assign_bins(values, bounds), SplitColumn(conditions, selected)


def choose_bounds(values: Floats) -> Floats:
    """Return the bounds between the intervals of a number: quantiles, rounded so that conditions are readable.

    Parameters
    ----------
    values
        NaN where missing, shape (rows,).
    """
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return np.empty(0)
    ranks = np.arange(1, BINS) * len(known) // BINS
    distinct = np.unique(known)
    bounds = distinct if len(distinct) <= BINS else np.unique(known[ranks])
    spread = known[ranks[-1]] - known[ranks[0]]
    if spread > 0 and (bounds != np.floor(bounds)).any():
        digits = int(2 - np.floor(np.log10(spread)))
        bounds = np.unique(np.array([round(float(bound), digits) for bound in bounds]))
    return np.asarray(bounds[(bounds >= known[0]) & (bounds < known[-1])])


def _code_categories(name: str, column: pl.Series) -> tuple[Codes, SplitColumn]:
    frequencies = column.drop_nulls().value_counts(name="count").sort(["count", "value"], descending=[True, False])
    readable = (one for one in frequencies["value"] if len(one) <= MAX_LABEL_CHARACTERS and one.isprintable())
    labels = list(islice(readable, BINS))
    codes = np.zeros(len(column), np.uint8)
    if labels:
        numbers = pl.int_range(1, len(labels) + 1, dtype=pl.UInt8, eager=True)
        coded = column.replace_strict(labels, numbers, default=len(labels) + 1, return_dtype=pl.UInt8)
        codes = np.where(column.is_null().to_numpy(), 0, coded.to_numpy()).astype(np.uint8)
    conditions = [Condition(name, "missing"), *(Condition(name, "=", label) for label in labels)]
    return codes, SplitColumn(conditions, np.eye(len(labels) + 1, len(labels) + 2, dtype=np.bool_))
