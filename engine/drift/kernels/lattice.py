"""The exact distribution of the two-sample Kolmogorov-Smirnov distance, by counting lattice paths."""

import numpy as np
from numba import njit


@njit("f8(i8, i8, i8)", cache=True, nogil=True)
def outer_path_share(n: int, m: int, gap: int) -> float:
    """Return the share of lattice paths from (0, 0) to (n, m) that reach abs(x*m - y*n) >= gap.

    That share is P(D >= gap / (n*m)) without ties (Hodges 1958). Every path into (x, y) comes from (x-1, y) with
    probability x/(x+y), else from (x, y-1): only positive terms are added, so that small probabilities keep their
    relative accuracy, where counting the paths that stay inside would cancel. Time: n times the width of the band.
    """
    share = np.ones(m + 1)
    first = 0
    for x in range(n + 1):
        # y lies inside when x*m - gap < y*n < x*m + gap; before `first` every path of this row is already outside
        low = max(0, (x * m - gap) // n + 1)
        high = min(m, -((-x * m - gap) // n) - 1)
        for y in range(first, min(low, m + 1)):
            share[y] = 1.0
        first = low
        for y in range(low, high + 1):
            if x == 0:
                share[y] = 0.0
            elif y > 0:
                share[y] = (x * share[y] + y * share[y - 1]) / (x + y)
    return float(share[m])
