"""Distances between two rows of counts over the same bins or categories.

All take counts and normalise them themselves; 0 * log 0 is 0. Only PSI needs a correction, because it alone is
infinite where one side of a bin is empty.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, rel_entr

from engine.drift.kernels.counting import Counts

Shares = NDArray[np.float64]


def psi(r: Counts, b: Counts) -> float:
    """Return the population stability index: sum of (q - p) ln(q / p), bins empty on both sides left out.

    0.5 is added to a count of 0 where the other side's is not; shares are of the totals after that.
    """
    either = (r > 0) | (b > 0)
    p = np.where(r == 0, 0.5, r)[either]
    q = np.where(b == 0, 0.5, b)[either]
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def divergence(r: Counts, b: Counts) -> float:
    """Jensen-Shannon divergence, base 2: 0 for equal shares, 1 for disjoint ones (Lin 1991)."""
    p, q = r / r.sum(), b / b.sum()
    mean = (p + q) / 2
    return float(min(1.0, max(0.0, (rel_entr(p, mean).sum() + rel_entr(q, mean).sum()) / 2 / np.log(2))))


def js(r: Counts, b: Counts) -> float:
    """Jensen-Shannon distance: the square root of the divergence."""
    return float(np.sqrt(divergence(r, b)))


def hellinger(r: Counts, b: Counts) -> float:
    """Hellinger distance, 0 to 1."""
    return float(np.sqrt(((np.sqrt(r / r.sum()) - np.sqrt(b / b.sum())) ** 2).sum() / 2))


def total_variation(r: Counts, b: Counts) -> float:
    """Total variation distance: the largest difference in the share of any set of bins."""
    return float(np.abs(r / r.sum() - b / b.sum()).sum() / 2)


def l_infinity(r: Counts, b: Counts) -> float:
    """Largest difference in the share of one category."""
    return float(np.abs(r / r.sum() - b / b.sum()).max())


def chi2(r: Counts, b: Counts) -> tuple[float, float]:
    """Pearson's chi-squared of the 2 x k contingency table and its asymptotic p, k - 1 degrees of freedom.

    No continuity correction; bins empty on both sides do not count; (0, 1) of fewer than two bins.
    """
    either = (r > 0) | (b > 0)
    r, b = r[either], b[either]
    if len(r) < 2:
        return 0.0, 1.0
    n, m = int(r.sum()), int(b.sum())
    expected = (r + b) * (n / (n + m))
    # both rows of a column deviate by the same amount: (r - e)^2 (1/e_r + 1/e_b)
    statistic = float(((r - expected) ** 2 / expected).sum() * ((n + m) / m))
    return statistic, float(chdtrc(len(r) - 1, statistic))


def cramers_v(r: Counts, b: Counts) -> float:
    """Cramér's V between side and category, corrected for its bias (Bergsma 2013): 0 to 1."""
    statistic, _ = chi2(r, b)
    k, total = int(((r > 0) | (b > 0)).sum()), int(r.sum() + b.sum())
    if k < 2 or total < 2:
        return 0.0
    phi2 = max(0.0, statistic / total - (k - 1) / (total - 1))
    rows, columns = 2 - 1 / (total - 1), k - (k - 1) ** 2 / (total - 1)
    smaller = min(rows, columns) - 1
    return float(np.sqrt(min(1.0, phi2 / smaller))) if smaller > 0 else 0.0
