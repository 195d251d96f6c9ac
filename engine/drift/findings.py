"""Measure one column: its statistics, the reasons for absent ones, its histogram, and the p-value of its verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from sys import float_info
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift import binned, numerical, verdict
from engine.drift.columns import Categorical, Column, Numerical, one_type, side_by_side
from engine.drift.kernels.counting import Counts, Values
from engine.drift.kolmogorov import p_value
from engine.drift.numerical import Interval
from engine.drift.roles import Role
from engine.errors import DataError

SPARSE = 5
"""Categories per row beyond which no test has power, which the report then says."""

MOST_LABELS = 50
"""Maximum number of categories that a histogram shows; the rows of all others are added up."""


@dataclass(slots=True)
class Findings:
    """What was measured for one column.

    Where a statistic is not exact, `bounds` has the two numbers it lies between. `bins` are the counts per bin or
    category of both sides, with missing rows last; None where a side has no rows. `p` is not yet adjusted for the
    number of columns.
    """

    statistics: dict[str, float | None] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    histogram: dict[str, Any] = field(default_factory=dict)
    bins: tuple[Counts, Counts] | None = None
    p: float = 1.0
    notes: list[str] = field(default_factory=list)

    def put(self, values: Mapping[str, float | Interval], why: str) -> None:
        """Record statistics: bounds with their middle as the value; one that is not finite is absent with a reason.

        `why` is that reason.
        """
        for name, value in values.items():
            low, high = value if isinstance(value, Interval) else (value, value)
            finite = isfinite(low) and isfinite(high)
            self.statistics[name] = low + (high - low) / 2 if finite else None
            if not finite:
                self.reasons[name] = why
            elif low < high:
                self.bounds[name] = (low, high)


def find(reference: Column, batch: Column, *, name: str, level: float, tests: int, seed: int) -> Findings:
    """Measure one column.

    Parameters
    ----------
    name
        The column's name, for messages and for the seed of the permutations.
    level, tests, seed
        Of the verdict: see `homogeneity_p`.

    Raises
    ------
    DataError
        The product of the two numbers of rows is 2**63 or more.
    """
    result = Findings()
    rows = [column.present + column.missing for column in (reference, batch)]
    if rows[0] * rows[1] >= 2**63:
        raise DataError(
            f"{rows[0]:,} reference rows and {rows[1]:,} batch rows are too many to be compared: "
            "the product of the two numbers must be below 2**63, about three billion rows per side"
        )
    if isinstance(reference, Numerical) and isinstance(batch, Numerical):
        bins, per_entity = _numerical(result, *one_type(reference, batch))
    elif isinstance(reference, Categorical) and isinstance(batch, Categorical):
        bins, per_entity = _categorical(result, reference, batch)
    else:
        raise TypeError(f"{type(reference).__name__} cannot be compared with {type(batch).__name__}")
    n, m = (int(side.sum()) for side in bins)
    why = _empty(n, "rows", m)
    missing_r, missing_b = _share(reference.missing, n), _share(batch.missing, m)
    result.histogram["missing"] = [reference.missing, batch.missing]
    result.put({"reference_missing_share": missing_r}, why)
    result.put({"missing_share": missing_b, "missing_share_change": missing_b - missing_r}, why)
    result.put(_distances(reference.role, *bins), why)
    if n and m:
        result.bins = bins
        fewer_rows = min(int(side.sum()) for side in per_entity)
        categories = max(len(reference.counts), len(batch.counts))
        if reference.role is Role.CATEGORICAL and categories > SPARSE * fewer_rows:
            result.notes.append(
                f"column {name!r} has {categories:,} categories for {fewer_rows:,} rows: "
                "too many for any test to detect drift"
            )
        result.p = verdict.homogeneity_p(*per_entity, level=level, tests=tests, seed=seed, name=name)
        if (ks_p := result.statistics.get("ks_p")) is not None:
            # Bonferroni over the two tests. Where p is bounded the larger bound counts: drift is then significant
            # wherever the true distance lies.
            result.p = min(1.0, 2 * min(result.p, result.bounds.get("ks_p", (ks_p, ks_p))[1]))
    return result


Bins = tuple[Counts, Counts]


def _numerical(result: Findings, reference: Numerical, batch: Numerical) -> tuple[Bins, Bins]:
    """Record the statistics of numerical columns; return the bins of all rows, and of one row per entity and side."""
    inner = numerical.edges(reference, batch)
    bins = _binned(inner, reference), _binned(inner, batch)
    result.histogram = _edges(inner, *bins)
    for prefix, side, column in (("", "batch", batch), ("reference_", "reference", reference)):
        rows = column.present
        why = f"the {side} has infinite or very large values" if rows > 1 else f"the {side} has {_few_values(rows)}"
        result.put({prefix + name: value for name, value in numerical.moments(column).items()}, why)
    _between(result, reference, batch)
    if reference.chosen is None or batch.chosen is None:
        return bins, bins
    # p-values use one row per entity and side, because the rows of one entity are not independent
    reference, batch = reference.one_per_entity(), batch.one_per_entity()
    result.put({"ks_p": _ks(reference, batch)[1]}, _empty(reference.present, "value", batch.present))
    return bins, (_binned(inner, reference), _binned(inner, batch))


def _categorical(result: Findings, reference: Categorical, batch: Categorical) -> tuple[Bins, Bins]:
    """Record the statistics of categorical columns; return the counts of all rows, and of one row per entity."""
    r, b, to_r, to_b = side_by_side(reference, batch)
    shown, rest = _most_frequent(r + b)
    labels = [_label(reference, to_r, batch, to_b, place) for place in shown.tolist()]
    sides = {"reference": r[shown].tolist(), "batch": b[shown].tolist()}
    result.histogram = {"labels": labels, **sides, "other": [int(r[rest].sum()), int(b[rest].sum())]}
    m = int(b.sum()) + batch.missing
    unseen = _share(int(b[r == 0].sum()), m)
    result.put({"unseen_share": unseen}, _empty(int(r.sum()) + reference.missing, "rows", m))
    bins = np.append(r, reference.missing), np.append(b, batch.missing)
    if reference.chosen is None or batch.chosen is None:
        return bins, bins
    reference, batch = reference.one_per_entity(), batch.one_per_entity()
    per_entity = np.zeros((2, len(r)), np.int64)
    per_entity[0, to_r], per_entity[1, to_b] = reference.counts, batch.counts
    return bins, (np.append(per_entity[0], reference.missing), np.append(per_entity[1], batch.missing))


def _binned(inner: Values, column: Numerical) -> Counts:
    """Return the number of rows per bin, and the missing rows as the last element."""
    return np.append(numerical.binned(inner, column), column.missing)


def _between(result: Findings, reference: Numerical, batch: Numerical) -> None:
    """Record the Kolmogorov-Smirnov and Wasserstein distances between the two distribution functions."""
    why = _empty(reference.present, "value", batch.present)
    distance, p, area = _ks(reference, batch)
    result.put({"ks": distance, "ks_p": p}, why)
    overflow = "values are infinite, or so far apart that the distance overflows"
    result.put({"wasserstein": area}, why or overflow)
    spread = result.statistics["reference_std"]
    why = why or (overflow if spread else "the reference has no standard deviation, or it is 0")
    normed = Interval(area.low / spread, area.high / spread) if spread else Interval(nan, nan)
    result.put({"wasserstein_normed": normed}, why)


def _ks(reference: Numerical, batch: Numerical) -> tuple[Interval, Interval, Interval]:
    """Return bounds of the Kolmogorov-Smirnov distance, of its p-value, and of the Wasserstein distance."""
    n, m = reference.present, batch.present
    if not n or not m:
        return (Interval(nan, nan),) * 3
    (least, most), area = numerical.apart_by(reference, batch)
    # the p-value decreases with the distance, so its bounds change places
    high = p_value(least, n, m)
    return (
        Interval(least / (n * m), most / (n * m)),
        Interval(high if most == least else p_value(most, n, m), high),
        area,
    )


def _most_frequent(counts: Counts) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of the most frequent categories, in descending order of counts, and of all others."""
    if len(counts) <= MOST_LABELS:
        return np.argsort(-counts, kind="stable"), np.arange(0)
    threshold = np.partition(counts, -MOST_LABELS)[-MOST_LABELS]
    shown = np.flatnonzero(counts >= threshold)
    shown = shown[np.argsort(-counts[shown], kind="stable")][:MOST_LABELS]
    rest = np.ones(len(counts), np.bool_)
    rest[shown] = False
    return shown, np.flatnonzero(rest)


def _label(a: Categorical, to_a: Counts, b: Categorical, to_b: Counts, place: int) -> str:
    """Return the label at a position in the union of the labels of a and b, without decoding the others."""
    at = int(np.searchsorted(to_a, place))
    return a.label(at) if at < len(to_a) and to_a[at] == place else b.label(int(np.searchsorted(to_b, place)))


def _distances(role: Role, r: Counts, b: Counts) -> dict[str, float]:
    names = ["psi", "js", "hellinger", "total_variation", "chi2", "chi2_p"]
    names += ["l_infinity", "cramers_v"] * (role is Role.CATEGORICAL)
    if not r.any() or not b.any():
        return dict.fromkeys(names, nan)
    measured = binned.distances(r, b)
    return {name: measured[name] for name in names}


def _edges(inner: Values, r: Counts, b: Counts) -> dict[str, Any]:
    """Return the histogram of a numerical column; JSON has no infinity, so infinite edges become the largest float."""
    finite = np.clip(inner.astype(np.float64), -float_info.max, float_info.max)
    return {"edges": finite.tolist(), "reference": r[:-1].tolist(), "batch": b[:-1].tolist()}


def _few_values(rows: int) -> str:
    return "only one value" if rows else "no value"


def _share(part: int, rows: int) -> float:
    return part / rows if rows else nan


def _empty(reference: int, what: str, batch: int) -> str:
    """Say which side has none of `what`; return an empty text where both sides have some."""
    return f"the {'batch' if reference else 'reference'} has no {what}" if not (reference and batch) else ""
