"""What is found of one column: its statistics, why some are absent, its histogram, and the p of its verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from sys import float_info
from typing import Any

import numpy as np

from engine.drift import binned, numerical, verdict
from engine.drift.kernels.counting import Counts, Values
from engine.drift.profiles import Column, side_by_side
from engine.drift.roles import Role

MOST_LABELS = 50
"""Categories that a histogram shows; the rest are counted together."""


@dataclass(slots=True)
class Findings:
    """`effect` is the excess divergence, None where a side has no rows; `p` is not yet adjusted for other columns."""

    statistics: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    histogram: dict[str, Any] = field(default_factory=dict)
    effect: float | None = None
    p: float = 1.0

    def put(self, values: Mapping[str, float], why: str) -> None:
        """Keep statistics; one that is no finite number is absent, with `why` as its reason."""
        for name, value in values.items():
            self.statistics[name] = value if isfinite(value) else None
            if not isfinite(value):
                self.reasons[name] = why


def find(reference: Column, batch: Column, *, name: str, level: float, tests: int, seed: int) -> Findings:
    """Measure one column; `level`, `tests` and `seed` are the verdict's."""
    found = Findings()
    values, r, b = side_by_side(reference, batch)
    inner: Values | None = None
    if isinstance(values, list):
        r_bins, b_bins = np.append(r, reference.missing), np.append(b, batch.missing)
        found.histogram = _labels(values, r, b)
    else:
        # whole numbers that meet fractions get edges of fractions: just below 5 is then not 4
        exact = reference.numbers if values.dtype == np.int64 else reference.numbers.astype(np.float64)
        inner = numerical.edges(exact, reference.counts)
        r_bins, b_bins = _binned(inner, reference), _binned(inner, batch)
        found.histogram = _edges(inner, r_bins, b_bins)
        _moments(found, reference, batch)
        _between(found, values, r, b)
    found.histogram["missing"] = [reference.missing, batch.missing]
    n, m = int(r_bins.sum()), int(b_bins.sum())
    why = _empty(n, "rows", m)
    missing_r, missing_b = _share(reference.missing, n), _share(batch.missing, m)
    found.put({"reference_missing_share": missing_r}, why)
    found.put({"missing_share": missing_b, "missing_share_change": missing_b - missing_r}, why)
    if inner is None:
        found.put({"unseen_share": _share(int(b[r == 0].sum()), m)}, why)
    found.put(_distances(reference.role, r_bins, b_bins), why)
    if not n or not m:
        return found
    found.effect = verdict.effect(r_bins, b_bins)
    if reference.chosen is not None:
        # p-values rest on one row per entity and side: rows of one entity are no independent evidence
        reference, batch = reference.one_per_entity(), batch.one_per_entity()
        _, r, b = side_by_side(reference, batch)
        if inner is None:
            r_bins, b_bins = np.append(r, reference.missing), np.append(b, batch.missing)
        else:
            r_bins, b_bins = _binned(inner, reference), _binned(inner, batch)
            found.put({"ks_p": _ks(r, b)["ks_p"]}, _empty(int(r.sum()), "value", int(b.sum())))
    found.p = verdict.homogeneity_p(r_bins, b_bins, level=level, tests=tests, seed=seed, name=name)
    if (ks_p := found.statistics.get("ks_p")) is not None:
        found.p = min(1.0, 2 * min(found.p, ks_p))
    return found


def _binned(inner: Values, column: Column) -> Counts:
    """Count rows by bin, missing last."""
    return np.append(numerical.binned(inner, column.numbers, column.counts), column.missing)


def _moments(found: Findings, reference: Column, batch: Column) -> None:
    for prefix, side, column in (("", "batch", batch), ("reference_", "reference", reference)):
        rows = int(column.counts.sum())
        why = f"the {side} has infinite or too large values" if rows > 1 else f"the {side} has {rows or 'no'} value"
        moments = numerical.moments(column.numbers, column.counts)
        found.put({prefix + name: value for name, value in moments.items()}, why)


def _between(found: Findings, values: Values, r: Counts, b: Counts) -> None:
    why = _empty(int(r.sum()), "value", int(b.sum()))
    found.put(_ks(r, b), why)
    distance = nan if why else numerical.wasserstein(values, r, b)
    found.put({"wasserstein": distance}, why or "an infinite value is infinitely far away")
    spread = found.statistics["reference_std"]
    why = why or ("the distance is infinite" if spread else "the reference has no standard deviation, or one of 0")
    found.put({"wasserstein_normed": distance / spread if spread else nan}, why)


def _ks(r: Counts, b: Counts) -> dict[str, float]:
    distance, p = numerical.ks(r, b) if r.any() and b.any() else (nan, nan)
    return {"ks": distance, "ks_p": p}


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


def _labels(values: list[str], r: Counts, b: Counts) -> dict[str, Any]:
    order = np.argsort(-(r + b), kind="stable")
    shown, rest = order[:MOST_LABELS], order[MOST_LABELS:]
    return {
        "labels": [values[i] for i in shown],
        "reference": r[shown].tolist(),
        "batch": b[shown].tolist(),
        "other": [int(r[rest].sum()), int(b[rest].sum())],
    }


def _share(part: int, rows: int) -> float:
    return part / rows if rows else nan


def _empty(reference: int, what: str, batch: int) -> str:
    """Say which side has nothing; nothing to say where both have something."""
    return f"the {'batch' if reference else 'reference'} has no {what}" if not (reference and batch) else ""
