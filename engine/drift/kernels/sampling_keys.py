"""Pseudo-random keys of rows: a sample consists of the rows with the lowest keys."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_hashes import Hashes, mix_bits


@helper()
def _make_key(content: Any, occurrence: Any, seed: np.uint64) -> Any:
    """Return the key of one row, or of arrays of rows in numpy: see `make_keys`."""
    return mix_bits(mix_bits(content + seed) + occurrence)


@kernel("u8[::1](const u8[::1], const u8[::1], u8)", small=_make_key, work=lambda contents, *_: len(contents) / 20)
def make_keys(contents: Hashes, occurrences: Hashes, seed: np.uint64) -> Hashes:
    """Return the key of each row, from the hash of its content, the number of equal rows before it, and the seed."""
    keys = np.empty(len(contents), np.uint64)
    for i in range(len(contents)):
        keys[i] = _make_key(contents[i], occurrences[i], seed)
    return keys


def _make_keys_below_in_numpy(
    contents: Hashes, times: NDArray[np.int64], seed: np.uint64, bound: np.uint64
) -> tuple[Hashes, Hashes]:
    repeated = np.repeat(contents, times)
    occurrences = np.arange(len(repeated)) - np.repeat(np.cumsum(times) - times, times)
    keys = _make_key(repeated, occurrences.astype(np.uint64), seed)
    low = keys <= bound
    return keys[low], repeated[low]


@kernel(
    "Tuple((u8[::1], u8[::1]))(u8[::1], i8[::1], u8, u8)",
    small=_make_keys_below_in_numpy,
    work=lambda _, times, *__: times.sum() / 20,
)
def make_keys_below(
    contents: Hashes, times: NDArray[np.int64], seed: np.uint64, bound: np.uint64
) -> tuple[Hashes, Hashes]:
    """Return the keys up to `bound` of contents that occur `times` times each, and the content of each key."""
    # counted first, then written: few keys are low, and all keys would not fit in memory
    size = 0
    for i in range(len(contents)):
        for occurrence in range(times[i]):
            if _make_key(contents[i], np.uint64(occurrence), seed) <= bound:
                size += 1
    keys, key_contents = np.empty(size, np.uint64), np.empty(size, np.uint64)
    k = 0
    for i in range(len(contents)):
        for occurrence in range(times[i]):
            key = _make_key(contents[i], np.uint64(occurrence), seed)
            if key <= bound:
                keys[k], key_contents[k] = key, contents[i]
                k += 1
    return keys, key_contents
