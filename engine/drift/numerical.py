"""What is measured of a numerical column: order statistics over all rows, and reference-quantile bins.

Everything is computed from distinct values and counts, so it is exact and does not depend on row order. Bins of equal
width are never used: one outlier would gather all other rows in a single bin.
"""

from fractions import Fraction
from math import inf, isfinite, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.counting import Counts, Values
from engine.drift.kolmogorov import p_value

BINS = 10


def moments(values: Values, counts: Counts) -> dict[str, float]:
    """Return mean, std (n - 1 degrees of freedom), min, max and quantiles; NaN where there is no such number.

    Quantiles are Hyndman and Fan's type 7, numpy's default: linear between order statistics.
    """
    n = int(counts.sum())
    names = {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}
    if not n:
        return dict.fromkeys(["mean", "std", "min", "max", *names], nan)
    floats = values.astype(np.float64)
    centre = float(floats[len(floats) // 2]) if isfinite(floats[len(floats) // 2]) else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        shifted = floats - centre
        offset = float((shifted * counts).sum() / n)
        variance = float((counts * (shifted - offset) ** 2).sum() / (n - 1)) if n > 1 else nan
    ends = np.cumsum(counts)
    quantiles = {name: _quantile(floats, ends, q) for name, q in names.items()}
    return {
        "mean": centre + offset,
        "std": sqrt(variance) if variance >= 0 else nan,
        "min": float(floats[0]),
        "max": float(floats[-1]),
        **quantiles,
    }


def _quantile(values: NDArray[np.float64], ends: Counts, q: float) -> float:
    at = Fraction(str(q)) * (int(ends[-1]) - 1)
    whole = int(at)
    low = float(values[np.searchsorted(ends, whole, side="right")])
    if at == whole:
        return low
    high = float(values[np.searchsorted(ends, whole + 1, side="right")])
    part = float(at - whole)
    return low if low == high else low * (1 - part) + high * part


def ks(r: Counts, b: Counts) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov distance of aligned counts (ties handled) and its two-sided p."""
    n, m = int(r.sum()), int(b.sum())
    gap = int(_gaps(r, b).max())
    return gap / (n * m), p_value(gap, n, m)


def _gaps(r: Counts, b: Counts) -> Counts:
    """Return n * m times the difference of the two distribution functions, as whole numbers: no digit is lost.

    n * m must fit 63 bits: three billion rows a side.
    """
    return np.abs(np.cumsum(r) * r.dtype.type(b.sum()) - np.cumsum(b) * b.dtype.type(r.sum()))


def wasserstein(values: Values, r: Counts, b: Counts) -> float:
    """First Wasserstein distance: the area between the two distribution functions; infinite where a value is."""
    if values.dtype == np.float64 and not np.isfinite(values[[0, -1]]).all():
        return inf
    between = _gaps(r, b)[:-1] / (int(r.sum()) * int(b.sum()))
    if values.dtype == np.int64:
        # the difference of two int64 always fits an unsigned one
        gaps = (values[1:].view(np.uint64) - values[:-1].view(np.uint64)).astype(np.float64)
    else:
        with np.errstate(over="ignore"):
            gaps = np.diff(values)
    with np.errstate(invalid="ignore", over="ignore"):
        return float((between * gaps).sum())


def edges(values: Values, counts: Counts) -> Values:
    """Return the inner edges of the reference-quantile bins, ascending; bins are (edge, next edge], the ends open.

    An edge is the k/10 quantile as a value that occurs. A value at which two or more of them coincide fills at least
    a bin: it gets one of its own, by an edge just below it, so that leaving it shows in whichever direction.
    """
    total = int(counts.sum())
    if not total:
        return values[:0]
    ranks = [-(-total * k // BINS) for k in range(1, BINS)]
    at, times = np.unique(values[np.searchsorted(np.cumsum(counts), ranks, side="left")], return_counts=True)
    heavy = at[times > 1]
    if at.dtype == np.int64:
        below = heavy[heavy > np.iinfo(np.int64).min] - 1
    else:
        with np.errstate(over="ignore"):  # below the smallest number is -inf
            below = np.nextafter(heavy[heavy > -inf], -inf)
    return np.unique(np.concatenate([at, below]))


def binned(inner: Values, values: Values, counts: Counts) -> Counts:
    """Count rows by bin; values beyond 2**53 are compared as floats where only one side is of whole numbers."""
    if values.dtype != inner.dtype:
        inner, values = inner.astype(np.float64), values.astype(np.float64)
    upto = np.concatenate([[0], np.cumsum(counts)])
    return np.diff(upto[np.searchsorted(values, inner, side="right")], prepend=0, append=upto[-1])
