"""Distances between two rows of counts over the same bins or categories.

All of them from one pass over the counts: one by one in numpy they took thirty. Only PSI needs a correction, because
it alone is infinite where one side of a bin is empty.
"""

from math import sqrt

from scipy.special import chdtrc

from engine.drift.kernels import distances as kernel
from engine.drift.kernels.counting import Counts


def distances(r: Counts, b: Counts) -> dict[str, float]:
    """Return every distance between the shares of two sides that both have rows; n * m must fit 63 bits.

    Returns
    -------
    dict
        `psi`, the population stability index: sum of (q - p) log(q / p), bins empty on both sides left out, 0.5 added
        to a count of 0 where the other side's is not (shares are of the totals after that).
        `js`, the Jensen-Shannon distance: square root of the divergence in bits (Lin 1991), 0 to 1.
        `hellinger`, 0 to 1.
        `total_variation`, the largest difference in the share of any set of bins.
        `l_infinity`, the largest difference in the share of one bin.
        `chi2`, Pearson's, of the 2 x k contingency table, without continuity correction, and its asymptotic
        `chi2_p`, k - 1 degrees of freedom; bins empty on both sides do not count, and of fewer than two bins p is 1.
        `cramers_v`, between side and bin, corrected for its bias (Bergsma 2013), 0 to 1.
    """
    k, psi, divergence, squared_hellinger, variation, largest, chi2 = kernel.distances(r, b)
    return {
        "psi": psi,
        "js": sqrt(min(1.0, divergence)),
        "hellinger": sqrt(min(1.0, squared_hellinger)),
        "total_variation": min(1.0, variation),
        "l_infinity": largest,
        "chi2": chi2,
        "chi2_p": float(chdtrc(k - 1, chi2)) if k > 1 else 1.0,
        "cramers_v": _cramers_v(chi2, k, int(r.sum() + b.sum())),
    }


def _cramers_v(chi2: float, k: float, total: int) -> float:
    if k < 2:
        return 0.0
    phi2 = max(0.0, chi2 / total - (k - 1) / (total - 1))
    rows, columns = 2 - 1 / (total - 1), k - (k - 1) ** 2 / (total - 1)
    smaller = min(rows, columns) - 1
    return sqrt(min(1.0, phi2 / smaller)) if smaller > 0 else 0.0
