"""Hashes of values: 64 bits that depend only on the value, on every platform and with every version of polars.

A value is a sequence of 64-bit words, and its hash is that of the words one after another: h = mix_bits(h ^ word),
starting with h = mix_bits(seed). The words of

- a number are the bits of the equal 64-bit float; both zeros have those of 0.0, and every NaN has those of `_NAN`;
- an integer that no float equals are those of the sequence of its lowest 64 bits and 1 if it is negative, else 0;
- a text or of bytes are the number of bytes, then the bytes, eight per word, the first in the lowest bits of its word;
  the last word is filled up with zeros;
- a sequence are its length, then the words in it;
- a missing value are `MISSING`, the bits of a NaN that no number has.

The hashes are not cryptographic. The mixing function is that of SplitMix64 (Steele, Lea and Flood: Fast splittable
pseudorandom number generators, OOPSLA 2014), a bijection of 64 bits where each input bit changes each output bit with a
probability close to one half. Any change here gives other samples, other held-out rows and other rows of entities:
raise the versions that `engine.drift.reading.row_hash` names.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel

Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]

MISSING = np.uint64(0x7FF8000000000001)
"""The word of a missing value."""

_NAN = np.uint64(0x7FF8000000000000)
_WORD_BYTES = 8

VIEW_BYTES = 16
"""Number of bytes of the view of a text: see `locate_texts`."""

INLINE_BYTES = 12
"""Maximum number of bytes of a text that is stored in its view."""

_LARGEST_FLOAT_INTEGER = np.uint64(2**53)
"""All integers from 0 to this one are equal to a float."""


@helper()
def mix_bits(z: Any) -> Any:
    """Return the next output of the generator SplitMix64 (Steele, Lea and Flood 2014) whose state is z."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hash_missing(seed: int) -> np.uint64:
    """Return the hash of a missing value of any type."""
    with np.errstate(over="ignore"):
        return np.uint64(mix_bits(mix_bits(np.uint64(seed)) ^ MISSING))


def _hash_floats_in_numpy(values: NDArray[np.float64], seed: np.uint64) -> Hashes:
    words = (values + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0
    words[np.isnan(values)] = _NAN
    hashes: Hashes = mix_bits(mix_bits(seed) ^ words)
    return hashes


@kernel("u8[::1](const f8[::1], u8)", small=_hash_floats_in_numpy, work=lambda values, _: len(values) / 50)
def hash_floats(values: NDArray[np.float64], seed: np.uint64) -> Hashes:
    """Return the hash of each number."""
    start, words, hashes = mix_bits(seed), values.view(np.uint64), np.empty(len(values), np.uint64)
    for i in range(len(values)):
        word = words[i]
        if values[i] != values[i]:  # only NaN does not equal itself
            word = _NAN
        elif values[i] == 0:
            word = np.uint64(0)
        hashes[i] = mix_bits(start ^ word)
    return hashes


def _hash_integers_in_numpy(words: Hashes, signed: bool, seed: np.uint64) -> Hashes:
    negative = (words >> np.uint64(63) == 1) & signed
    size = np.where(negative, -words, words)
    numbers = size.astype(np.float64)
    hashes = _hash_floats_in_numpy(np.where(negative, -numbers, numbers), seed)
    odd = (size > _LARGEST_FLOAT_INTEGER) & (size >> np.uint64(53) >= size & -size)
    pairs = np.column_stack([words[odd], negative[odd].astype(np.uint64)]).ravel()
    hashes[odd] = _hash_sequences_in_numpy(pairs, np.full(odd.sum(), 2), seed)
    return hashes


@kernel("u8[::1](const u8[::1], b1, u8)", small=_hash_integers_in_numpy, work=lambda words, *_: len(words) / 20)
def hash_integers(words: Hashes, signed: bool, seed: np.uint64) -> Hashes:
    """Return the hash of each 64-bit integer; its bits are in two's complement if `signed`."""
    start, hashes = mix_bits(seed), np.empty(len(words), np.uint64)
    start_of_pair = mix_bits(start ^ np.uint64(2))
    number = np.empty(1, np.float64)
    bits = number.view(np.uint64)
    for i in range(len(words)):
        size, sign = words[i], np.uint64(0)
        if signed and size >> np.uint64(63) == np.uint64(1):
            size, sign = np.uint64(0) - size, np.uint64(1)
        # A larger integer is equal to a float if at most 53 bits remain without the zeros at its end: if it is less
        # than 2**53 times its lowest bit.
        lowest = size & (np.uint64(0) - size)
        if size <= _LARGEST_FLOAT_INTEGER or size >> np.uint64(53) < lowest:
            number[0] = size
            hashes[i] = mix_bits(start ^ (bits[0] | sign << np.uint64(63)))
        else:
            hashes[i] = mix_bits(mix_bits(start_of_pair ^ words[i]) ^ sign)
    return hashes


def _hash_sequences_in_numpy(words: Hashes, lengths: Positions, seed: np.uint64) -> Hashes:
    return _chain_words(words, np.cumsum(lengths) - lengths, lengths, lengths, seed)


def _chain_words(words: Hashes, starts: Positions, words_of_each: Positions, lengths: Positions, seed: Any) -> Hashes:
    """Return the hash of each sequence, which begins at one of `starts`; word by word, for all sequences at once."""
    hashes: Hashes = mix_bits(mix_bits(seed) ^ lengths.astype(np.uint64))
    for position in range(int(words_of_each.max(initial=0))):
        rows = np.flatnonzero(words_of_each > position)
        hashes[rows] = mix_bits(hashes[rows] ^ words[starts[rows] + position])
    return hashes


def _estimate_work(items: int, longest: int) -> float:
    return items / 10 + longest * 10


@kernel(
    "u8[::1](const u8[::1], const i8[::1], u8)",
    small=_hash_sequences_in_numpy,
    work=lambda words, lengths, _: _estimate_work(len(words) + len(lengths), lengths.max(initial=0)),
)
def hash_sequences(words: Hashes, lengths: Positions, seed: np.uint64) -> Hashes:
    """Return the hash of each sequence of words.

    Parameters
    ----------
    words
        The words of all sequences, one after another.
    lengths
        The number of words of each sequence; their sum is the number of words.
    """
    start, hashes = mix_bits(seed), np.empty(len(lengths), np.uint64)
    position = 0
    for i in range(len(lengths)):
        h = mix_bits(start ^ np.uint64(lengths[i]))
        for _ in range(lengths[i]):
            h = mix_bits(h ^ words[position])
            position += 1
        hashes[i] = h
    return hashes


def _locate_texts_in_numpy(views: NDArray[np.uint32], origins: Positions) -> tuple[Positions, Positions]:
    lengths, _, buffers, starts = views.astype(np.int64).reshape(-1, 4).T
    inline = lengths <= INLINE_BYTES
    own = origins[-1] + np.arange(len(lengths)) * VIEW_BYTES + 4
    return np.where(inline, own, origins[np.where(inline, 0, buffers)] + starts), lengths.copy()


@kernel(
    "Tuple((i8[::1], i8[::1]))(const u4[::1], const i8[::1])",
    small=_locate_texts_in_numpy,
    work=lambda views, _: len(views) / 100,
)
def locate_texts(views: NDArray[np.uint32], origins: Positions) -> tuple[Positions, Positions]:
    """Return the position of each text's first byte, and the number of its bytes.

    Parameters
    ----------
    views
        Four numbers per text: that of its bytes; up to 12 bytes of the text in the other three, or else four bytes of
        it, the number of a buffer, and the position in that buffer.
    origins
        The position of each buffer, and last that of the views themselves.
    """
    starts, lengths = np.empty(len(views) // 4, np.int64), np.empty(len(views) // 4, np.int64)
    for i in range(len(starts)):
        lengths[i] = views[4 * i]
        if lengths[i] <= INLINE_BYTES:
            starts[i] = origins[len(origins) - 1] + i * VIEW_BYTES + 4
        else:
            starts[i] = origins[views[4 * i + 2]] + views[4 * i + 3]
    return starts, lengths


def _hash_texts_in_numpy(data: NDArray[np.uint8], starts: Positions, lengths: Positions, seed: np.uint64) -> Hashes:
    words_of_each = -(-lengths // _WORD_BYTES)
    first_words = np.cumsum(words_of_each) - words_of_each
    padded = np.zeros(int(words_of_each.sum()) * _WORD_BYTES, np.uint8)
    positions = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)  # in the text of each byte
    padded[np.repeat(first_words * _WORD_BYTES, lengths) + positions] = data[np.repeat(starts, lengths) + positions]
    return _chain_words(padded.view("<u8").astype(np.uint64), first_words, words_of_each, lengths, seed)


@helper()
def _read_half(data: Any, position: np.uint64) -> Any:
    """Return the 4 bytes at a position as a little-endian number."""
    # written out, because it is compiled to a single read
    word = np.uint64(data[position])
    word |= np.uint64(data[position + np.uint64(1)]) << np.uint64(8)
    word |= np.uint64(data[position + np.uint64(2)]) << np.uint64(16)
    word |= np.uint64(data[position + np.uint64(3)]) << np.uint64(24)
    return word


@helper()
def _read_word(data: Any, position: np.uint64) -> Any:
    """Return the 8 bytes at a position as a little-endian number."""
    word = np.uint64(data[position])
    word |= np.uint64(data[position + np.uint64(1)]) << np.uint64(8)
    word |= np.uint64(data[position + np.uint64(2)]) << np.uint64(16)
    word |= np.uint64(data[position + np.uint64(3)]) << np.uint64(24)
    word |= np.uint64(data[position + np.uint64(4)]) << np.uint64(32)
    word |= np.uint64(data[position + np.uint64(5)]) << np.uint64(40)
    word |= np.uint64(data[position + np.uint64(6)]) << np.uint64(48)
    word |= np.uint64(data[position + np.uint64(7)]) << np.uint64(56)
    return word


@helper()
def _read_rest(data: Any, position: np.uint64, size: np.uint64, has_more_before: bool) -> Any:
    """Return the `size` < 8 bytes at a position as a little-endian number, without a loop.

    Bytes that are read twice set the same bits of the number both times.
    """
    one, four, eight = np.uint64(1), np.uint64(4), np.uint64(8)
    end = position + size
    if has_more_before:
        return _read_word(data, end - eight) >> (eight * (eight - size))
    if size >= four:
        return _read_half(data, position) | _read_half(data, end - four) << (eight * (size - four))
    middle = size >> one
    word = np.uint64(data[position]) | np.uint64(data[position + middle]) << (eight * middle)
    return word | np.uint64(data[end - one]) << (eight * (size - one))


@kernel(
    "u8[::1](const u1[::1], const i8[::1], const i8[::1], u8)",
    small=_hash_texts_in_numpy,
    work=lambda _, starts, lengths, __: _estimate_work(
        lengths.sum() / 4 + len(starts), lengths.max(initial=0) / _WORD_BYTES
    ),
)
def hash_texts(data: NDArray[np.uint8], starts: Positions, lengths: Positions, seed: np.uint64) -> Hashes:
    """Return the hash of each text.

    Parameters
    ----------
    data
        Bytes that include those of each text (in UTF-8).
    starts, lengths
        The position in `data` of each text's first byte, and the number of its bytes.
    """
    start, hashes = mix_bits(seed), np.empty(len(lengths), np.uint64)
    for i in range(len(lengths)):
        # unsigned, because compiled code checks signed positions for being negative
        position = np.uint64(starts[i])
        h = mix_bits(start ^ np.uint64(lengths[i]))
        for _ in range(lengths[i] // _WORD_BYTES):
            h = mix_bits(h ^ _read_word(data, position))
            position += np.uint64(_WORD_BYTES)
        rest = np.uint64(lengths[i] % _WORD_BYTES)
        if rest:
            h = mix_bits(h ^ _read_rest(data, position, rest, lengths[i] > _WORD_BYTES))
        hashes[i] = h
    return hashes


def _mix_in_numpy(sums: Hashes) -> None:
    sums[:] = mix_bits(sums)


@kernel("void(u8[::1])", small=_mix_in_numpy, work=lambda sums: len(sums) / 50)
def mix_sums(sums: Hashes) -> None:
    """Replace each sum of hashes by a hash of it."""
    for i in range(len(sums)):
        sums[i] = mix_bits(sums[i])
