"""Distinct 64-bit keys and how often each occurs, by a hash table with linear probing, in one pass.

Sorting, as numpy's `unique` does, takes three to five times as long where there are many keys; polars' own counting of
texts takes ten times as long.
"""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel
from engine.drift.kernels.value_tables import Counts

Keys = NDArray[np.uint64]
Places = NDArray[np.int32]

FEWEST_SLOTS = 1024
SLOTS_PER_KEY = 4
"""At least so many slots per key: in a fuller table the searches are long."""


def _count_keys_in_numpy(keys: Keys, slots: Places, found: Keys, firsts: Places, counts: Counts) -> int:
    values, first, times = np.unique(keys, return_index=True, return_counts=True)
    order = np.argsort(first)
    n = len(values)
    found[:n], firsts[:n], counts[:n] = values[order], first[order], times[order]
    return n


@kernel(
    "i8(const u8[::1], i4[::1], u8[::1], i4[::1], i8[::1])",
    small=_count_keys_in_numpy,
    work=lambda keys, *_: len(keys) / 10,
)
def count_keys(keys: Keys, slots: Places, found: Keys, firsts: Places, counts: Counts) -> int:
    """Write the distinct keys in the order in which they first occur, and return how many they are.

    Parameters
    ----------
    keys
        Their low bits must be well mixed, as those of hashes are.
    slots
        Scratch memory: a power of two, at least `SLOTS_A_KEY` times as many as keys. No more are used than needed.
    found, firsts, counts
        As long as `keys`; receive each distinct key, the position of its first occurrence, and its number of
        occurrences. The caller allocates them to use them again: fresh memory costs more than the counting.
    """
    size, n = min(FEWEST_SLOTS, len(slots)), 0
    slots[:size] = -1
    mask = np.uint64(size - 1)
    for i in range(len(keys)):
        # a slot holds the position of its key in `found`, -1 where it is free
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
        # the table starts small, to stay in the processor's cache, and grows by rehashing
        if n * SLOTS_PER_KEY > size:
            size = min(size * 8, len(slots))
            slots[:size] = -1
            mask = np.uint64(size - 1)
            for old in range(n):
                at = found[old] & mask
                while slots[at] >= 0:
                    at = (at + np.uint64(1)) & mask
                slots[at] = old
    return n
