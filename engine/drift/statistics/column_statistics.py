"""Measure one column: its statistics, reasons for missing ones, its histogram, and the p-value of its verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from sys import float_info
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.categorical import Categorical, align_categories
from engine.drift.distributions.columns import Column
from engine.drift.distributions.numerical import Numerical, unify_types
from engine.drift.kernels.value_tables import Counts, Values
from engine.drift.reading.normalization import Role
from engine.drift.significance import verdict
from engine.drift.significance.ks_test import ks_p_value
from engine.drift.statistics import binned_distances, numerical_statistics
from engine.drift.statistics.numerical_statistics import Bounds
from engine.drift.statistics.pooled_bins import choose_pooled_edges
from engine.errors import DataError

MAX_CATEGORIES_PER_ROW = 5
"""Number of categories per row beyond which no test has power; a note then reports it."""

MAX_HISTOGRAM_LABELS = 50
"""Maximum number of categories in a histogram; the rows of all others are added up."""


BinCounts = tuple[Counts, Counts]
"""The counts of both sides per bin or category, with missing rows last."""


class VerdictCounts(NamedTuple):
    """The counts from which the verdict of a column is computed.

    Attributes
    ----------
    rows
        Counts of all rows, for the effect size.
    independent
        Counts of independent rows, for the p-value: one row per entity and side if an entity is declared, else all
        rows.
    """

    rows: BinCounts
    independent: BinCounts


@dataclass(slots=True)
class ColumnStatistics:
    """The measurements of one column.

    For a statistic that is not exact, `bounds` has the two numbers between which it lies.

    The rest is for the verdict. `counts` is None if a side has no rows. `p` is not yet adjusted for the number of
    tests, and `smallest_p` is the smallest value that it could have for any labels of the pooled rows.
    """

    statistics: dict[str, float | None] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    histogram: dict[str, Any] = field(default_factory=dict)
    counts: VerdictCounts | None = None
    p: float = 1.0
    smallest_p: float = 1.0
    notes: list[str] = field(default_factory=list)

    def record(self, values: Mapping[str, float | Bounds], why: str) -> None:
        """Record statistics.

        A statistic with bounds gets the middle of the bounds as its value. A statistic that is not finite becomes None,
        with the reason `why`.
        """
        for name, value in values.items():
            low, high = value if isinstance(value, Bounds) else (value, value)
            finite = isfinite(low) and isfinite(high)
            # halved first, because the difference of very large bounds is infinite
            self.statistics[name] = low + (high / 2 - low / 2) if finite else None
            if not finite:
                self.reasons[name] = why
            elif low < high:
                self.bounds[name] = (low, high)


@np.errstate(over="ignore", invalid="ignore")  # sums of very large numbers are infinite
def measure_column(
    reference: Column, batch: Column, *, name: str, level: float, tests: int, seed: int
) -> ColumnStatistics:
    """Measure one column.

    Parameters
    ----------
    name
        The column's name, for messages and for the seed of the permutations.
    level, tests, seed
        Parameters of the verdict: see `homogeneity_p`.

    Raises
    ------
    DataError
        The product of the two numbers of rows is 2**63 or more.
    """
    result = ColumnStatistics()
    rows = [column.present + column.missing for column in (reference, batch)]
    if rows[0] * rows[1] >= 2**63:
        raise DataError(
            f"{rows[0]:,} reference rows and {rows[1]:,} batch rows are too many to be compared: "
            "the product of the two numbers must be below 2**63, about three billion rows per side"
        )
    if isinstance(reference, Numerical) and isinstance(batch, Numerical):
        unified = unify_types(reference, batch)
        counts, close = _measure_numerical(result, *unified)
    elif isinstance(reference, Categorical) and isinstance(batch, Categorical):
        unified, close = None, True
        counts = _measure_categorical(result, reference, batch)
    else:
        raise TypeError(f"{type(reference).__name__} cannot be compared with {type(batch).__name__}")
    n, m = rows
    why = _explain_empty_side(n, "rows", m)
    missing_r, missing_b = _share_of_rows(reference.missing, n), _share_of_rows(batch.missing, m)
    result.histogram["missing"] = [reference.missing, batch.missing]
    result.record({"reference_missing_share": missing_r}, why)
    result.record({"missing_share": missing_b, "missing_share_change": missing_b - missing_r}, why)
    if not (n and m):
        return result
    result.counts = counts
    fewer_rows = min(int(side.sum()) for side in counts.independent)
    categories = max(len(reference.counts), len(batch.counts))
    if reference.role is Role.CATEGORICAL and categories > MAX_CATEGORIES_PER_ROW * fewer_rows:
        result.notes.append(
            f"column {name!r} has {categories:,} categories for {fewer_rows:,} rows: "
            "too many for any test to detect drift"
        )
    if not close:
        result.notes.append(
            f"the verdict of column {name!r} is based only on the distance ks and on the missing values: "
            "there are too few values at which the counts of both sides are known exactly"
        )
    result.p = verdict.homogeneity_p(*counts.independent, level=level, tests=tests, seed=seed, name=name)
    pooled = counts.independent[0] + counts.independent[1]
    result.smallest_p = verdict.smallest_p(pooled, int(counts.independent[0].sum()))
    if (ks_p := result.statistics.get("ks_p")) is not None:
        # Bonferroni over the two tests. If p has bounds, the upper one counts: drift is significant only if it is so
        # for every distance between the bounds.
        result.p = min(1.0, 2 * min(result.p, result.bounds.get("ks_p", (ks_p, ks_p))[1]))
        result.smallest_p = min(1.0, 2 * result.smallest_p)
        # the smallest p-value of the distance takes time, and is needed only if the other one is not small
        if unified is not None and result.smallest_p * tests >= level:
            sides = [side.one_per_entity() for side in unified]
            result.smallest_p = min(result.smallest_p, 2 * numerical_statistics.smallest_ks_p(*sides))
    return result


def _measure_numerical(result: ColumnStatistics, reference: Numerical, batch: Numerical) -> tuple[VerdictCounts, bool]:
    """Record the statistics of numerical columns.

    Returns
    -------
    counts, close
        The counts for the verdict, and whether its bin edges are close enough to deciles of the pooled sample. If not,
        the p-value only compares how many rows have a value.
    """
    inner = numerical_statistics.choose_bin_edges(reference, batch)
    bins = _count_bins_and_missing(inner, reference), _count_bins_and_missing(inner, batch)
    result.histogram = _numerical_histogram(inner, *bins)
    result.record(_select_binned_distances(Role.NUMERICAL, *bins), _explain_no_rows(*bins))
    for prefix, side, column in (("", "batch", batch), ("reference_", "reference", reference)):
        rows = column.present
        why = (
            f"the {side} has infinite values, or its values are too large or too close together to compute with them"
            if rows > 1
            else f"the {side} has {_describe_few_values(rows)}"
        )
        result.record(
            {prefix + name: value for name, value in numerical_statistics.summarize_column(column).items()}, why
        )
    _record_cdf_distances(result, reference, batch)
    counts, close = _count_pooled_bins(reference, batch)
    if reference.entity_rows is None or batch.entity_rows is None:
        evidence = counts if close else (_count_present(reference), _count_present(batch))
        return VerdictCounts(counts, evidence), close
    # p-values use one row per entity and side, because the rows of one entity are not independent
    reference, batch = reference.one_per_entity(), batch.one_per_entity()
    result.record(
        {"ks_p": _bound_cdf_distances(reference, batch)[1]},
        _explain_empty_side(reference.present, "value", batch.present),
    )
    return VerdictCounts(counts, _count_pooled_bins(reference, batch)[0]), True


def _count_pooled_bins(reference: Numerical, batch: Numerical) -> tuple[BinCounts, bool]:
    """Return the counts of both sides in the verdict's bins, and whether the bin edges are close enough to deciles."""
    inner, close = choose_pooled_edges(reference, batch)
    return (_count_bins_and_missing(inner, reference), _count_bins_and_missing(inner, batch)), close


def _count_present(column: Numerical) -> Counts:
    return np.array([column.present, column.missing])


def _measure_categorical(result: ColumnStatistics, reference: Categorical, batch: Categorical) -> VerdictCounts:
    """Record the statistics of categorical columns; return the counts for the verdict."""
    r, b, to_r, to_b = align_categories(reference, batch)
    shown, rest = _split_by_frequency(r + b)
    labels = [_union_label(reference, to_r, batch, to_b, position) for position in shown.tolist()]
    sides = {"reference": r[shown].tolist(), "batch": b[shown].tolist()}
    result.histogram = {"labels": labels, **sides, "other": [int(r[rest].sum()), int(b[rest].sum())]}
    m = int(b.sum()) + batch.missing
    unseen = _share_of_rows(int(b[r == 0].sum()), m)
    result.record({"unseen_share": unseen}, _explain_empty_side(int(r.sum()) + reference.missing, "rows", m))
    bins = np.append(r, reference.missing), np.append(b, batch.missing)
    result.record(_select_binned_distances(Role.CATEGORICAL, *bins), _explain_no_rows(*bins))
    if reference.entity_rows is None or batch.entity_rows is None:
        return VerdictCounts(bins, bins)
    reference, batch = reference.one_per_entity(), batch.one_per_entity()
    per_entity = np.zeros((2, len(r)), np.int64)
    per_entity[0, to_r], per_entity[1, to_b] = reference.counts, batch.counts
    return VerdictCounts(bins, (np.append(per_entity[0], reference.missing), np.append(per_entity[1], batch.missing)))


def _count_bins_and_missing(inner: Values, column: Numerical) -> Counts:
    """Return the number of rows per bin, and the missing rows as the last element."""
    return np.append(numerical_statistics.count_bins(inner, column), column.missing)


def _record_cdf_distances(result: ColumnStatistics, reference: Numerical, batch: Numerical) -> None:
    """Record the Kolmogorov-Smirnov and Wasserstein distances between the two distribution functions."""
    why = _explain_empty_side(reference.present, "value", batch.present)
    distance, p, area = _bound_cdf_distances(reference, batch)
    result.record({"ks": distance, "ks_p": p}, why)
    overflow = "values are infinite, or so far apart that the distance overflows"
    result.record({"wasserstein": area}, why or overflow)
    spread = result.statistics["reference_std"]
    why = why or (overflow if spread else "the reference has no standard deviation, or it is 0")
    normed = Bounds(area.low / spread, area.high / spread) if spread else Bounds(nan, nan)
    result.record({"wasserstein_normed": normed}, why)


def _bound_cdf_distances(reference: Numerical, batch: Numerical) -> tuple[Bounds, Bounds, Bounds]:
    """Return bounds of the Kolmogorov-Smirnov distance, of its p-value, and of the Wasserstein distance."""
    n, m = reference.present, batch.present
    if not n or not m:
        return (Bounds(nan, nan),) * 3
    (least, most), area = numerical_statistics.measure_cdf_distances(reference, batch)
    # the p-value decreases with the distance, so its upper bound belongs to the smallest distance
    high = ks_p_value(least, n, m)
    return (
        Bounds(least / (n * m), most / (n * m)),
        Bounds(high if most == least else ks_p_value(most, n, m), high),
        area,
    )


def _split_by_frequency(counts: Counts) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of the most frequent categories, in descending order of counts, and of all others."""
    if len(counts) <= MAX_HISTOGRAM_LABELS:
        return np.argsort(-counts, kind="stable"), np.arange(0)
    threshold = np.partition(counts, -MAX_HISTOGRAM_LABELS)[-MAX_HISTOGRAM_LABELS]
    shown = np.flatnonzero(counts >= threshold)
    shown = shown[np.argsort(-counts[shown], kind="stable")][:MAX_HISTOGRAM_LABELS]
    rest = np.ones(len(counts), np.bool_)
    rest[shown] = False
    return shown, np.flatnonzero(rest)


def _union_label(a: Categorical, to_a: Counts, b: Categorical, to_b: Counts, position: int) -> str:
    """Return the label at a position in the union of the labels of a and b; the others are not decoded.

    `to_a` and `to_b` are the positions of the labels of a and of b in the union.
    """
    i = int(np.searchsorted(to_a, position))
    in_a = i < len(to_a) and to_a[i] == position
    return a.label_at(i) if in_a else b.label_at(int(np.searchsorted(to_b, position)))


def _select_binned_distances(role: Role, r: Counts, b: Counts) -> dict[str, float]:
    names = ["psi", "js", "hellinger", "total_variation", "chi2", "chi2_p"]
    names += ["l_infinity", "cramers_v"] * (role is Role.CATEGORICAL)
    if not r.any() or not b.any():
        return dict.fromkeys(names, nan)
    measured = binned_distances.measure_binned_distances(r, b)
    return {name: measured[name] for name in names}


def _numerical_histogram(inner: Values, r: Counts, b: Counts) -> dict[str, Any]:
    """Return the histogram of a numerical column; JSON has no infinity, so infinite edges become the largest float."""
    finite = np.clip(inner.astype(np.float64), -float_info.max, float_info.max)
    return {"edges": finite.tolist(), "reference": r[:-1].tolist(), "batch": b[:-1].tolist()}


def _describe_few_values(rows: int) -> str:
    return "only one value" if rows else "no value"


def _share_of_rows(part: int, rows: int) -> float:
    return part / rows if rows else nan


def _explain_no_rows(r: Counts, b: Counts) -> str:
    return _explain_empty_side(int(r.sum()), "rows", int(b.sum()))


def _explain_empty_side(reference: int, what: str, batch: int) -> str:
    """Return a text that names the side without `what`; an empty text if both sides have some."""
    return f"the {'batch' if reference else 'reference'} has no {what}" if not (reference and batch) else ""
