"""Distances between the counts of two sides over the same categories, all in one pass and without cancellation.

r and b are the counts of a category on the two sides, n and m the rows of the sides, p = r / n and q = b / m the
shares. Formulas in p and q lose half of their digits where the distributions are nearly equal. Everything here starts
from r * m - b * n, an exact whole number, and from d = (r * m - b * n) / (r * m + b * n) = (p - q) / (p + q).
"""

from math import log, log1p, sqrt

import numpy as np

from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Counts


@helper("f8(f8)")
def divergence_gain(d: float) -> float:
    """Return (1 + d) log(1 + d) + (1 - d) log(1 - d) for d from -1 to 1.

    Times (p + q) / 2 it is p log(2p / (p + q)) + q log(2q / (p + q)), a category's part of twice the Jensen-Shannon
    divergence in nats.
    """
    d2 = d * d
    if d2 < 0.01:  # near 0 the two terms cancel: the sum of d^2k / (k (2k - 1)) from k = 1
        series = 1 / 66 + d2 * (1 / 91 + d2 / 120)
        return d2 * (1 + d2 * (1 / 6 + d2 * (1 / 15 + d2 * (1 / 28 + d2 * (1 / 45 + d2 * series)))))
    if d2 >= 1:
        return 2 * log(2.0)
    return (1 + d) * log1p(d) + (1 - d) * log1p(-d)


@helper("f8(f8, f8, f8)")
def log_ratio(x: float, y: float, difference: float) -> float:
    """Return log(x / y); `difference` is x - y, which the caller may know more exactly."""
    d = difference / (x + y)
    d2 = d * d
    if d2 < 0.01:  # 2 artanh(d) = 2 (d + d^3 / 3 + d^5 / 5 + ...)
        series = 1 / 11 + d2 * (1 / 13 + d2 / 15)
        return 2 * d * (1 + d2 * (1 / 3 + d2 * (1 / 5 + d2 * (1 / 7 + d2 * (1 / 9 + d2 * series)))))
    return log(x / y)


@kernel("UniTuple(f8, 7)(i8[::1], i8[::1])", work=lambda r, b: 5 * len(r))
def measure_count_distances(r: Counts, b: Counts) -> tuple[float, float, float, float, float, float, float]:
    """Return k, PSI, divergence, squared Hellinger distance, total variation, l-infinity and chi-squared.

    k is the number of categories that either side has. The divergence is that of Jensen and Shannon, in bits. Both
    sides must have rows, and the product of their numbers must fit 63 bits.
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
        # n * m * (p - q) and n * m * (p + q)
        difference = float(r[i] * m - b[i] * n)
        total = x * m + y * n
        # Jensen-Shannon: half the sum of p log(2p / (p + q)) + q log(2q / (p + q)), in terms of d
        divergence += total * divergence_gain(difference / total)
        # Hellinger: sqrt(p) - sqrt(q) = (p - q) / (sqrt(p) + sqrt(q))
        roots = sqrt(x * m) + sqrt(y * n)
        hellinger += difference / roots * (difference / roots)
        variation += abs(difference)
        largest = max(largest, abs(difference))
        chi2 += difference / (x + y) * difference
        # PSI: (p - q) log(p / q), with the filled counts
        x, y = max(x, 0.5) * m_filled, max(y, 0.5) * n_filled
        if filled:
            difference = x - y
        psi += difference * log_ratio(x, y, difference)
    return (
        float(k),
        psi / (n_filled * m_filled),
        divergence / (scale * 4 * log(2.0)),
        hellinger / (scale * 2),
        variation / (scale * 2),
        largest / scale,
        chi2 / scale,
    )
