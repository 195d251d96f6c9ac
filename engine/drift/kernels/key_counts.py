"""Distinct keys of 64 or 128 bits and how often each occurs, by a hash table with linear probing, in one pass.

Sorting, as numpy's `unique` does, takes three to five times as long where there are many keys; the counting of texts
in polars takes ten times as long.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel
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
        # a slot holds the index of its key in `distinct`, or -1 if empty; a key is in the slot given by its low bits,
        # or in the next one that was empty
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


def _count_pairs_in_numpy(
    pairs: Keys, valid: NDArray[np.uint8], first_bit: int, slots: Indices, distinct: Keys, firsts: Indices,
    counts: Counts,
) -> int:  # fmt: skip
    present = np.arange(len(pairs) // 2)
    if len(valid):
        present = present[np.unpackbits(valid, bitorder="little")[first_bit:][: len(present)] == 1]
    kept = pairs.reshape(-1, 2)[present]
    order = np.lexsort(kept.T)  # equal pairs stay in the order of their rows; five times as fast as `np.unique`
    ordered = kept[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(is_first)
    times = np.diff(starts, append=len(order))
    ranks = np.argsort(order[starts])
    first = order[starts[ranks]]
    n = len(first)
    distinct[: 2 * n], firsts[:n], counts[:n] = kept[first].ravel(), present[first], times[ranks]
    return n


@helper()
def _mix_pair(a: Any, b: Any) -> Any:
    """Return a hash of two words whose low bits depend on all bits of both."""
    mixed = a * np.uint64(0x9E3779B97F4A7C15) ^ b
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(32))


@kernel(
    "i8(const u8[::1], const u1[::1], i8, i4[::1], u8[::1], i4[::1], i8[::1])",
    small=_count_pairs_in_numpy,
    work=lambda pairs, *_: len(pairs) / 5,
)
def count_pairs(
    pairs: Keys,
    valid: NDArray[np.uint8],
    first_bit: int,
    slots: Indices,
    distinct: Keys,
    firsts: Indices,
    counts: Counts,
) -> int:
    """Count distinct keys of two words each, in the order in which they first occur, and return their number.

    Parameters
    ----------
    pairs
        The words of all keys, one key after another.
    valid, first_bit
        A bit mask from `first_bit` on, the lowest bit of a byte first: which keys are counted. If empty, all are.
    slots, distinct, firsts, counts
        As of `count_keys`; `distinct` is twice as long, and need not be mixed.
    """
    size, n = min(FEWEST_SLOTS, len(slots)), 0
    slots[:size] = -1
    mask = np.uint64(size - 1)
    one = np.uint64(1)
    for i in range(len(pairs) // 2):
        if len(valid):
            bit = np.uint64(first_bit + i)
            if not (valid[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & 1:
                continue
        a, b = pairs[np.uint64(2 * i)], pairs[np.uint64(2 * i + 1)]
        slot = _mix_pair(a, b) & mask
        index = slots[slot]
        while index >= 0 and (distinct[np.uint64(2 * index)] != a or distinct[np.uint64(2 * index + 1)] != b):
            slot = (slot + one) & mask
            index = slots[slot]
        if index >= 0:
            counts[index] += 1
            continue
        slots[slot], distinct[2 * n], distinct[2 * n + 1], firsts[n], counts[n] = n, a, b, i, 1
        n += 1
        if n * SLOTS_PER_KEY > size:  # see `count_keys`
            size = min(size * 8, len(slots))
            slots[:size] = -1
            mask = np.uint64(size - 1)
            for old in range(n):
                slot = _mix_pair(distinct[2 * old], distinct[2 * old + 1]) & mask
                while slots[slot] >= 0:
                    slot = (slot + one) & mask
                slots[slot] = old
    return n
