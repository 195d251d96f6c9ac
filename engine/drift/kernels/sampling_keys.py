"""Pseudo-random keys of rows: a sample consists of the rows with the lowest keys."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel

Hashes = NDArray[np.uint64]


@helper()
def _splitmix64(z: Any) -> Any:
    """Return the output of the generator splitmix64 (Steele, Lea and Flood 2014) for the state z, before its step."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@helper()
def _make_key(content: Any, occurrence: Any, seed: np.uint64) -> Any:
    return _splitmix64(_splitmix64(content + seed) + occurrence)


@kernel("u8[::1](u8[::1], u8[::1], u8)", small=_make_key, work=lambda contents, *_: len(contents) / 20)
def make_keys(contents: Hashes, occurrences: Hashes, seed: np.uint64) -> Hashes:
    """Return the key of each row, made of the hash of its content, the number of equal rows before it, and the seed."""
    found = np.empty(len(contents), np.uint64)
    for i in range(len(contents)):
        found[i] = _make_key(contents[i], occurrences[i], seed)
    return found


def _make_keys_below_in_numpy(
    contents: Hashes, times: NDArray[np.int64], seed: np.uint64, bound: np.uint64
) -> tuple[Hashes, Hashes]:
    whose = np.repeat(contents, times)
    occurrences = np.arange(len(whose)) - np.repeat(np.cumsum(times) - times, times)
    found = _make_key(whose, occurrences.astype(np.uint64), seed)
    low = found <= bound
    return found[low], whose[low]


@kernel(
    "Tuple((u8[::1], u8[::1]))(u8[::1], i8[::1], u8, u8)",
    small=_make_keys_below_in_numpy,
    work=lambda _, times, *__: times.sum() / 20,
)
def make_keys_below(
    contents: Hashes, times: NDArray[np.int64], seed: np.uint64, bound: np.uint64
) -> tuple[Hashes, Hashes]:
    """Return the keys up to `bound` of contents that occur `times` times each, and the content of each key."""
    # counted first, then written: few keys are low, and memory for all of them would not fit
    room = 0
    for i in range(len(contents)):
        for occurrence in range(times[i]):
            if _make_key(contents[i], np.uint64(occurrence), seed) <= bound:
                room += 1
    found, whose = np.empty(room, np.uint64), np.empty(room, np.uint64)
    k = 0
    for i in range(len(contents)):
        for occurrence in range(times[i]):
            key = _make_key(contents[i], np.uint64(occurrence), seed)
            if key <= bound:
                found[k], whose[k] = key, contents[i]
                k += 1
    return found, whose
