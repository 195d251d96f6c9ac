"""64-bit hashes of values and of rows, which are the same in every version of every library and on every machine.

A value is hashed by the finalizer of splitmix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators,
2014), which changes each output bit with probability one half when an input bit changes. A text is hashed by the same
function over its UTF-8 bytes, 8 at a time, each word mixed with the hash so far; its length goes in first, so that
zeros at its end count. The hash of a row comes from the sum of the hashes of its values, each with its column's key.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.sampling_keys import Hashes, mix_bits

Mask = NDArray[np.bool_]
_MISSING = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio


@helper()
def _hash_number(bits: Any, key: Any) -> Any:
    """Return the hash of one number (or of arrays of numbers, in numpy), given by its 64 bits."""
    return mix_bits(mix_bits(bits ^ key) + key)


def _add_numbers_in_numpy(bits: Hashes, missing: Mask, key: np.uint64, sums: Hashes) -> None:
    found = _hash_number(bits, key)
    if len(missing):
        found[missing] = mix_bits(key ^ _MISSING)
    sums += found


@kernel(
    "void(const u8[::1], const b1[::1], u8, u8[::1])",
    small=_add_numbers_in_numpy,
    work=lambda bits, *_: len(bits) / 20,
)
def add_number_hashes(bits: Hashes, missing: Mask, key: np.uint64, sums: Hashes) -> None:
    """Add the hash of each number to the sum of its row; `missing` is empty if no value is missing."""
    for i in range(len(bits)):
        if len(missing) > 0 and missing[i]:
            sums[i] += mix_bits(key ^ _MISSING)
        else:
            sums[i] += _hash_number(bits[i], key)


def _add_texts_in_numpy(
    texts: NDArray[np.uint8], lengths: NDArray[np.uint32], missing: Mask, key: np.uint64, sums: Hashes
) -> None:
    """Hash the words of all texts side by side: first word of each, second word of each that is longer, and so on."""
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = ends - lengths
    padded = np.concatenate([texts, np.zeros(8, np.uint8)])
    found = mix_bits(key + lengths.astype(np.uint64))
    left = np.flatnonzero(lengths)
    word = 0
    while len(left):
        at = starts[left] + 8 * word
        taken = padded[at[:, None] + np.arange(8)].astype(np.uint64)
        taken[np.arange(8) >= (ends[left] - at)[:, None]] = 0
        found[left] = mix_bits(
            found[left] ^ np.bitwise_or.reduce(taken << np.arange(0, 64, 8, dtype=np.uint64), axis=1)
        )
        word += 1
        left = left[lengths[left] > 8 * word]
    found = mix_bits(found + key)
    if len(missing):
        found[missing] = mix_bits(key ^ _MISSING)
    sums += found


@kernel(
    "void(const u1[::1], const u4[::1], const b1[::1], u8, u8[::1])",
    small=_add_texts_in_numpy,
    work=lambda texts, lengths, *_: (len(texts) + len(lengths)) / 10,
)
def add_text_hashes(
    texts: NDArray[np.uint8], lengths: NDArray[np.uint32], missing: Mask, key: np.uint64, sums: Hashes
) -> None:
    """Add the hash of each text to the sum of its row.

    Parameters
    ----------
    texts, lengths
        The UTF-8 bytes of all texts, one after another, and the number of bytes of each; 0 where one is missing.
    missing
        Which texts are missing; empty if none is.
    """
    at = np.int64(0)
    for i in range(len(lengths)):
        if len(missing) > 0 and missing[i]:
            sums[i] += mix_bits(key ^ _MISSING)
            continue
        end = at + np.int64(lengths[i])
        found = mix_bits(key + np.uint64(lengths[i]))
        while at < end:
            word = np.uint64(0)
            for byte in range(min(np.int64(8), end - at)):
                word |= np.uint64(texts[at + byte]) << np.uint64(8 * byte)
            found = mix_bits(found ^ word)
            at += min(np.int64(8), end - at)
        sums[i] += mix_bits(found + key)
