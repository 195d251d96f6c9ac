"""Pseudo-random keys of rows, of which a sample takes the lowest, without holding one for every row."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


@njit("u8(u8)", cache=True, nogil=True)
def _finalized(z: np.uint64) -> np.uint64:
    """Return the output of splitmix64 for the state z."""
    z += np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit("u8(u8, u8, u8)", cache=True, nogil=True)
def _key(content: np.uint64, occurrence: np.uint64, seed: np.uint64) -> np.uint64:
    return _finalized(_finalized(content + seed) + occurrence)


@njit("u8[::1](u8[::1], u8[::1], u8)", cache=True, nogil=True)
def keys(contents: Hashes, occurrences: Hashes, seed: np.uint64) -> Hashes:
    """Return the key of each row: of the hash of its content, of how many equal rows come before, and of the seed."""
    found = np.empty(len(contents), np.uint64)
    for i in range(len(contents)):
        found[i] = _key(contents[i], occurrences[i], seed)
    return found


@njit("Tuple((u8[::1], u8[::1]))(u8[::1], i8[::1], u8, u8)", cache=True, nogil=True)
def keys_below(contents: Hashes, times: NDArray[np.int64], seed: np.uint64, bound: np.uint64) -> tuple[Hashes, Hashes]:
    """Return the keys up to `bound` of contents that occur as often as `times` says, and whose keys they are."""
    room = 0
    for i in range(len(contents)):
        for occurrence in range(times[i]):
            if _key(contents[i], np.uint64(occurrence), seed) <= bound:
                room += 1
    found, whose = np.empty(room, np.uint64), np.empty(room, np.uint64)
    k = 0
    for i in range(len(contents)):
        for occurrence in range(times[i]):
            key = _key(contents[i], np.uint64(occurrence), seed)
            if key <= bound:
                found[k], whose[k] = key, contents[i]
                k += 1
    return found, whose
