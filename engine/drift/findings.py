"""What is found of one column: its statistics, why some are absent, its histogram, and the p of its verdict."""

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
"""Categories a row beyond which no test has power, and the report says so."""

MOST_LABELS = 50
"""Categories that a histogram shows; the rest are counted together."""


@dataclass(slots=True)
class Findings:
    """What is found of one column.

    Where a statistic is not exact, `bounds` has what it lies between. `bins` are the counts by bin or category of both
    sides, missing last; None where a side has no rows. `p` is not yet adjusted for other columns.
    """

    statistics: dict[str, float | None] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    histogram: dict[str, Any] = field(default_factory=dict)
    bins: tuple[Counts, Counts] | None = None
    p: float = 1.0
    notes: list[str] = field(default_factory=list)

    def put(self, values: Mapping[str, float | Interval], why: str) -> None:
        """Keep statistics, an interval as its middle; one that is no finite number is absent, with `why` as reason."""
        for name, value in values.items():
            low, high = value if isinstance(value, Interval) else (value, value)
            finite = isfinite(low) and isfinite(high)
            self.statistics[name] = low + (high - low) / 2 if finite else None
            if not finite:
                self.reasons[name] = why
            elif low < high:
                self.bounds[name] = (low, high)


def find(reference: Column, batch: Column, *, name: str, level: float, tests: int, seed: int) -> Findings:
    """Measure one column; `level`, `tests` and `seed` are the verdict's."""
    found = Findings()
    rows = [column.present + column.missing for column in (reference, batch)]
    if rows[0] * rows[1] >= 2**63:
        raise DataError(f"{rows[0]} rows and {rows[1]} are too many to be compared: more than three billion each")
    if isinstance(reference, Numerical) and isinstance(batch, Numerical):
        bins, one = _numerical(found, *one_type(reference, batch))
    elif isinstance(reference, Categorical) and isinstance(batch, Categorical):
        bins, one = _categorical(found, reference, batch)
    else:
        raise TypeError(f"{type(reference).__name__} compared with {type(batch).__name__}")
    n, m = (int(side.sum()) for side in bins)
    why = _empty(n, "rows", m)
    missing_r, missing_b = _share(reference.missing, n), _share(batch.missing, m)
    found.histogram["missing"] = [reference.missing, batch.missing]
    found.put({"reference_missing_share": missing_r}, why)
    found.put({"missing_share": missing_b, "missing_share_change": missing_b - missing_r}, why)
    found.put(_distances(reference.role, *bins), why)
    if n and m:
        found.bins = bins
        fewer = min(int(side.sum()) for side in one)
        most = max(len(reference.counts), len(batch.counts))
        if reference.role is Role.CATEGORICAL and most > SPARSE * fewer:
            found.notes.append(f"column {name!r} has {most} categories for {fewer} rows: too many to see any drift")
        found.p = verdict.homogeneity_p(*one, level=level, tests=tests, seed=seed, name=name)
        if (ks_p := found.statistics.get("ks_p")) is not None:
            # the larger end: what is called drift is drift wherever the distance lies
            found.p = min(1.0, 2 * min(found.p, found.bounds.get("ks_p", (ks_p, ks_p))[1]))
    return found


Bins = tuple[Counts, Counts]


def _numerical(found: Findings, reference: Numerical, batch: Numerical) -> tuple[Bins, Bins]:
    """Measure what numbers have; return the bins of all rows, and of one row per entity."""
    inner = numerical.edges(reference, batch)
    bins = _binned(inner, reference), _binned(inner, batch)
    found.histogram = _edges(inner, *bins)
    for prefix, side, column in (("", "batch", batch), ("reference_", "reference", reference)):
        rows = column.present
        why = f"the {side} has infinite or too large values" if rows > 1 else f"the {side} has {rows or 'no'} value"
        found.put({prefix + name: value for name, value in numerical.moments(column).items()}, why)
    _between(found, reference, batch)
    if reference.chosen is None or batch.chosen is None:
        return bins, bins
    # p-values rest on one row per entity and side: rows of one entity are no independent evidence
    reference, batch = reference.one_per_entity(), batch.one_per_entity()
    found.put({"ks_p": _ks(reference, batch)[1]}, _empty(reference.present, "value", batch.present))
    return bins, (_binned(inner, reference), _binned(inner, batch))


def _categorical(found: Findings, reference: Categorical, batch: Categorical) -> tuple[Bins, Bins]:
    """Measure what categories have; return the counts of all rows, and of one row per entity."""
    r, b, to_r, to_b = side_by_side(reference, batch)
    shown, rest = _most_frequent(r + b)
    labels = [_label(reference, to_r, batch, to_b, place) for place in shown.tolist()]
    sides = {"reference": r[shown].tolist(), "batch": b[shown].tolist()}
    found.histogram = {"labels": labels, **sides, "other": [int(r[rest].sum()), int(b[rest].sum())]}
    m = int(b.sum()) + batch.missing
    unseen = _share(int(b[r == 0].sum()), m)
    found.put({"unseen_share": unseen}, _empty(int(r.sum()) + reference.missing, "rows", m))
    bins = np.append(r, reference.missing), np.append(b, batch.missing)
    if reference.chosen is None or batch.chosen is None:
        return bins, bins
    reference, batch = reference.one_per_entity(), batch.one_per_entity()
    one = np.zeros((2, len(r)), np.int64)
    one[0, to_r], one[1, to_b] = reference.counts, batch.counts
    return bins, (np.append(one[0], reference.missing), np.append(one[1], batch.missing))


def _binned(inner: Values, column: Numerical) -> Counts:
    """Count rows by bin, missing last."""
    return np.append(numerical.binned(inner, column), column.missing)


def _between(found: Findings, reference: Numerical, batch: Numerical) -> None:
    why = _empty(reference.present, "value", batch.present)
    distance, p, area = _ks(reference, batch)
    found.put({"ks": distance, "ks_p": p}, why)
    far = "values are infinite, or too far apart"
    found.put({"wasserstein": area}, why or far)
    spread = found.statistics["reference_std"]
    why = why or (far if spread else "the reference has no standard deviation, or one of 0")
    normed = Interval(area.low / spread, area.high / spread) if spread else Interval(nan, nan)
    found.put({"wasserstein_normed": normed}, why)


def _ks(reference: Numerical, batch: Numerical) -> tuple[Interval, Interval, Interval]:
    """Return the Kolmogorov-Smirnov distance, its p, and the Wasserstein distance."""
    n, m = reference.present, batch.present
    if not n or not m:
        return (Interval(nan, nan),) * 3
    (least, most), area = numerical.apart_by(reference, batch)
    high = p_value(least, n, m)
    return (
        Interval(least / (n * m), most / (n * m)),
        Interval(high if most == least else p_value(most, n, m), high),
        area,
    )


def _most_frequent(counts: Counts) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the most frequent categories are, in descending order, and where the others are."""
    if len(counts) <= MOST_LABELS:
        return np.argsort(-counts, kind="stable"), np.arange(0)
    least = np.partition(counts, -MOST_LABELS)[-MOST_LABELS]
    often = np.flatnonzero(counts >= least)
    often = often[np.argsort(-counts[often], kind="stable")][:MOST_LABELS]
    rest = np.ones(len(counts), np.bool_)
    rest[often] = False
    return often, np.flatnonzero(rest)


def _label(a: Categorical, to_a: Counts, b: Categorical, to_b: Counts, place: int) -> str:
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
    finite = np.clip(inner.astype(np.float64), -float_info.max, float_info.max)
    return {"edges": finite.tolist(), "reference": r[:-1].tolist(), "batch": b[:-1].tolist()}


def _share(part: int, rows: int) -> float:
    return part / rows if rows else nan


def _empty(reference: int, what: str, batch: int) -> str:
    """Say which side has nothing; nothing to say where both have something."""
    return f"the {'batch' if reference else 'reference'} has no {what}" if not (reference and batch) else ""
