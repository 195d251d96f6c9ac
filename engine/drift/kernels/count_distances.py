"""Distances between two rows of counts, all in one pass and without cancellation.

Formulas in the shares p and q lose half of their digits where the distributions are nearly equal. Everything here
starts from r * m - b * n, an exact whole number, and from d = (r * m - b * n) / (r * m + b * n) = (p - q) / (p + q).
"""

from math import log, log1p, sqrt

import numpy as np

from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Counts


@helper("f8(f8)")
def divergence_gain(d: float) -> float:
    """Return (1 + d) log(1 + d) + (1 - d) log(1 - d), from -1 to 1."""
    d2 = d * d
    if d2 < 0.01:  # near 0 the two terms cancel: the sum of d^2k / (k (2k - 1)) from k = 1
        series = 1 / 66 + d2 * (1 / 91 + d2 / 120)
        return d2 * (1 + d2 * (1 / 6 + d2 * (1 / 15 + d2 * (1 / 28 + d2 * (1 / 45 + d2 * series)))))
    if d2 >= 1:
        return 2 * log(2.0)
    return (1 + d) * log1p(d) + (1 - d) * log1p(-d)


@helper("f8(f8, f8, f8)")
def log_ratio(x: float, y: float, apart: float) -> float:
    """Return log(x / y); `apart` is x - y."""
    d = apart / (x + y)
    d2 = d * d
    if d2 < 0.01:  # 2 artanh(d) = 2 (d + d^3 / 3 + d^5 / 5 + ...)
        series = 1 / 11 + d2 * (1 / 13 + d2 / 15)
        return 2 * d * (1 + d2 * (1 / 3 + d2 * (1 / 5 + d2 * (1 / 7 + d2 * (1 / 9 + d2 * series)))))
    return log(x / y)


@kernel("UniTuple(f8, 7)(i8[::1], i8[::1])", work=lambda r, b: 5 * len(r))
def measure_count_distances(r: Counts, b: Counts) -> tuple[float, float, float, float, float, float, float]:
    """Return k, psi, divergence, squared Hellinger, total variation, l-infinity and chi-squared.

    k is the number of categories that either side has; the divergence is in bits; both sides have rows, and the
    product of their numbers fits 63 bits.
    """
    n = m = np.int64(0)
    k = r_empty = b_empty = 0
    for i in range(len(r)):
        n += r[i]
        m += b[i]
        if r[i] or b[i]:
            k += 1
            r_empty += r[i] == 0
            b_empty += b[i] == 0
    # the population stability index is infinite where a count is 0: such counts become 0.5, and the totals follow
    n_filled, m_filled = n + 0.5 * r_empty, m + 0.5 * b_empty
    filled = r_empty + b_empty > 0
    scale = float(n) * float(m)
    psi = divergence = hellinger = variation = largest = chi2 = 0.0
    for i in range(len(r)):
        if r[i] == 0 and b[i] == 0:
            continue
        x, y = float(r[i]), float(b[i])
        apart = float(r[i] * m - b[i] * n)
        # Jensen-Shannon: the sum of p log(2p / (p + q)) + q log(2q / (p + q)) over 2, in terms of d
        both = x * m + y * n
        divergence += both * divergence_gain(apart / both)
        # Hellinger: sqrt(p) - sqrt(q) = (p - q) / (sqrt(p) + sqrt(q))
        roots = sqrt(x * m) + sqrt(y * n)
        hellinger += apart / roots * (apart / roots)
        variation += abs(apart)
        largest = max(largest, abs(apart))
        chi2 += apart / (x + y) * apart
        x, y = max(x, 0.5) * m_filled, max(y, 0.5) * n_filled
        if filled:
            apart = x - y
        psi += apart * log_ratio(x, y, apart)
    return (
        float(k),
        psi / (n_filled * m_filled),
        divergence / (scale * 4 * log(2.0)),
        hellinger / (scale * 2),
        variation / (scale * 2),
        largest / scale,
        chi2 / scale,
    )
