"""Distances between two distributions given as counts over the same bins or categories.

One kernel computes all of them in a single pass over the counts; numpy would need about thirty passes. Only PSI needs a
correction for empty bins: it alone would be infinite if a bin is empty on one side.
"""

from math import sqrt

from engine.drift.kernels import count_distances as kernel
from engine.drift.kernels.value_tables import Counts
from engine.drift.significance.chi_squared import chi_squared_tail


def measure_binned_distances(r: Counts, b: Counts) -> dict[str, float]:
    """Return every distance between the shares of two sides.

    Parameters
    ----------
    r, b
        Counts of the reference and of the batch over the same k bins. The sides have n and m rows, at least one
        each, and n * m fits 63 bits.

    Returns
    -------
    dict
        `psi`, the population stability index: sum of (q - p) log(q / p). Bins that are empty on both sides are left
        out; a count of 0 becomes 0.5 where only one side is empty, and shares refer to the totals after that.
        `js`, the Jensen-Shannon distance: square root of the divergence in bits (Lin 1991), 0 to 1.
        `hellinger`, the Hellinger distance, 0 to 1.
        `total_variation`, the largest difference in the share of any set of bins, 0 to 1.
        `l_infinity`, the largest difference in the share of a single bin, 0 to 1.
        `chi2`, Pearson's chi-squared of the 2 x k contingency table, without continuity correction.
        `chi2_p`, its asymptotic p-value with k - 1 degrees of freedom; 1 with fewer than two bins. Bins that are
        empty on both sides do not count towards k.
        `cramers_v`, Cramér's V between side and bin, corrected for bias (Bergsma 2013), 0 to 1.
    """
    # rounding may carry a distance slightly above 1
    k, psi, divergence, squared_hellinger, variation, largest, chi2 = kernel.measure_count_distances(r, b)
    return {
        "psi": psi,
        "js": sqrt(min(1.0, divergence)),
        "hellinger": sqrt(min(1.0, squared_hellinger)),
        "total_variation": min(1.0, variation),
        "l_infinity": largest,
        "chi2": chi2,
        "chi2_p": chi_squared_tail(chi2, k - 1) if k > 1 else 1.0,
        "cramers_v": _corrected_cramers_v(chi2, k, int(r.sum() + b.sum())),
    }


def _corrected_cramers_v(chi2: float, k: float, total: int) -> float:
    """Return the bias-corrected Cramér's V of a 2 x k table (Bergsma 2013)."""
    if k < 2:
        return 0.0
    # E[phi^2] under independence is (2 - 1)(k - 1) / (total - 1): subtract it, and shrink both dimensions alike
    phi2 = max(0.0, chi2 / total - (k - 1) / (total - 1))
    rows, columns = 2 - 1 / (total - 1), k - (k - 1) ** 2 / (total - 1)
    smaller = min(rows, columns) - 1
    return sqrt(min(1.0, phi2 / smaller)) if smaller > 0 else 0.0
