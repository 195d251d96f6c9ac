"""Distinct 64-bit keys and how often each occurs, in any order, by a hash table in one pass.

Sorting them, as numpy's `unique` does, takes three to five times as long where there are many; polars' own counting
of texts takes ten times as long.
"""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from engine.drift.kernels.counting import Counts

Keys = NDArray[np.uint64]
Places = NDArray[np.int32]

FEWEST_SLOTS = 1024
SLOTS_A_KEY = 4
"""A table that is fuller than this searches long."""


@njit(
    # polars gives arrays that must not be written to; those that may be are taken too
    types.int64(
        types.Array(types.uint64, 1, "C", readonly=True),
        types.int32[::1],
        types.uint64[::1],
        types.int32[::1],
        types.int64[::1],
    ),
    cache=True,
    nogil=True,
)
def distinct(keys: Keys, slots: Places, found: Keys, firsts: Places, counts: Counts) -> int:
    """Return the number of distinct keys; write each, where it comes first and how often it occurs, in that order.

    The low bits of the keys have to be well mixed, as those of hashes are. `found`, `firsts` and `counts` are as long
    as `keys`; of `slots`, at least `SLOTS_A_KEY` times as many and a power of two, no more are touched than needed.
    They are the caller's, to be used again: fresh memory costs more than the counting.
    """
    size, n = min(FEWEST_SLOTS, len(slots)), 0
    slots[:size] = -1
    mask = np.uint64(size - 1)
    for i in range(len(keys)):
        key = keys[i]
        at = key & mask
        known = slots[at]
        while known >= 0 and found[known] != key:
            at = (at + np.uint64(1)) & mask
            known = slots[at]
        if known >= 0:
            counts[known] += 1
            continue
        slots[at], found[n], firsts[n], counts[n] = n, key, i, 1
        n += 1
        if n * SLOTS_A_KEY > size:
            size = min(size * 8, len(slots))
            slots[:size] = -1
            mask = np.uint64(size - 1)
            for old in range(n):
                at = found[old] & mask
                while slots[at] >= 0:
                    at = (at + np.uint64(1)) & mask
                slots[at] = old
    return n
