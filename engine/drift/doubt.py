"""Which gaps of a ladder leave a doubt: what a second look at a batch has to read, usually a few in a hundred rows.

After one pass every figure has bounds. A gap matters to the largest distance only if what it holds could carry it
beyond the largest that is known; to the area only if the distribution functions may cross in it; to a quantile only if
it holds that rank; to the bins only if it holds an edge.
"""

import numpy as np
from numpy.typing import NDArray

from engine.drift.columns import Numerical, crossings, rows_about
from engine.drift.numerical import QUANTILES, places_of_ranks


def doubtful(reference: Numerical, batch: Numerical, most: int) -> NDArray[np.bool_]:
    """Return which gaps of `batch` must be known value by value for every figure to be as exact as `reference` is.

    Where there would be more than `most` rows in them, the area between the two remains an interval, or also their
    largest distance: what is read a second time stays bounded, whatever the number of rows.
    """
    gaps = batch.gaps
    if gaps is None or not batch.present:
        return np.zeros(len(batch.values) + 1, np.bool_)
    wanted = np.zeros(len(gaps.counts), np.bool_)
    ranks, rest = np.divmod(np.array(list(QUANTILES.values())) * (batch.present - 1), 100)
    places, in_gap = places_of_ranks(batch, np.concatenate([ranks, ranks + (rest > 0)]))
    wanted[places[in_gap]] = True
    if reference.present and reference.gaps is None:
        deciles = reference.deciles
        wanted[np.searchsorted(batch.values, deciles[~batch.knows(deciles)])] = True
        for more in (_largest(reference, batch), crossings(reference, batch)):
            if gaps.counts[wanted | more].sum() <= most:
                wanted |= more
    return wanted & (gaps.counts > 0)


def _largest(reference: Numerical, batch: Numerical) -> NDArray[np.bool_]:
    """Return the gaps in which the largest distance may lie."""
    n, m = reference.present, batch.present
    (r_start, r_end), (b_start, b_end) = rows_about(reference, batch), rows_about(batch, batch)
    known = max(np.abs(r_start * m - b_start * n).max(), np.abs(r_end * m - b_end * n).max())
    return np.asarray(np.maximum(r_end * m - b_start * n, b_end * n - r_start * m) > known)
