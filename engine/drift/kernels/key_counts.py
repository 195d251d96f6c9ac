"""Distinct 64-bit keys and how often each occurs, by a hash table with linear probing, in one pass.

Sorting, as numpy's `unique` does, takes three to five times as long where there are many keys; the counting of texts
in polars takes ten times as long.
"""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel
from engine.drift.kernels.value_tables import Counts

Keys = NDArray[np.uint64]
Indices = NDArray[np.int32]

FEWEST_SLOTS = 1024
"""Number of slots that the table starts with."""

SLOTS_PER_KEY = 4
"""Minimum number of slots per distinct key: in a fuller table the searches are long."""


def _count_keys_in_numpy(keys: Keys, slots: Indices, distinct: Keys, firsts: Indices, counts: Counts) -> int:
    values, first, times = np.unique(keys, return_index=True, return_counts=True)
    order = np.argsort(first)
    n = len(values)
    distinct[:n], firsts[:n], counts[:n] = values[order], first[order], times[order]
    return n


@kernel(
    "i8(const u8[::1], i4[::1], u8[::1], i4[::1], i8[::1])",
    small=_count_keys_in_numpy,
    work=lambda keys, *_: len(keys) / 10,
)
def count_keys(keys: Keys, slots: Indices, distinct: Keys, firsts: Indices, counts: Counts) -> int:
    """Count the distinct keys, in the order in which they first occur, and return their number.

    Parameters
    ----------
    keys
        Their low bits must be well mixed, as those of hashes are.
    slots
        Working memory: the hash table. Its length is a power of two, and at least `SLOTS_PER_KEY` times that of `keys`;
        only as much of it is used as needed.
    distinct, firsts, counts
        Output, as long as `keys`, of which the first elements are written: each distinct key, the position of its first
        occurrence, and its number of occurrences. The caller allocates these arrays once for many calls: fresh memory
        costs more than the counting.
    """
    size, n = min(FEWEST_SLOTS, len(slots)), 0
    slots[:size] = -1
    mask = np.uint64(size - 1)
    for i in range(len(keys)):
        # a slot holds the index of its key in `distinct`, -1 where it is empty; a key is in the slot that its low bits
        # name, or in the next one that was empty
        key = keys[i]
        slot = key & mask
        index = slots[slot]
        while index >= 0 and distinct[index] != key:
            slot = (slot + np.uint64(1)) & mask
            index = slots[slot]
        if index >= 0:
            counts[index] += 1
            continue
        slots[slot], distinct[n], firsts[n], counts[n] = n, key, i, 1
        n += 1
        # the table starts small, to stay in the processor's cache, and grows by rehashing
        if n * SLOTS_PER_KEY > size:
            size = min(size * 8, len(slots))
            slots[:size] = -1
            mask = np.uint64(size - 1)
            for old in range(n):
                slot = distinct[old] & mask
                while slots[slot] >= 0:
                    slot = (slot + np.uint64(1)) & mask
                slots[slot] = old
    return n
