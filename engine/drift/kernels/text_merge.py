"""Merging of two sorted lists of strings without a Python object per string.

A list consists of two arrays: the UTF-8 bytes of its strings, one after another, and for each string the position
after its last byte. Strings are ordered by their bytes, which is also the order of code points.
"""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Counts

TextBytes = NDArray[np.uint8]


@helper("i8(u1[::1], i8, i8, u1[::1], i8, i8)")
def _compare_texts(a: TextBytes, a_start: int, a_end: int, b: TextBytes, b_start: int, b_end: int) -> int:
    """Compare a[a_start:a_end] with b[b_start:b_end]: below 0 if a's comes first, 0 if equal, above 0 if b's does."""
    for i in range(min(a_end - a_start, b_end - b_start)):
        x, y = a[a_start + i], b[b_start + i]
        if x != y:
            return -1 if x < y else 1
    return (a_end - a_start) - (b_end - b_start)


@kernel("Tuple((i8[::1], i8[::1], i8))(u1[::1], i8[::1], u1[::1], i8[::1])")
def merge_texts(a: TextBytes, a_ends: Counts, b: TextBytes, b_ends: Counts) -> tuple[Counts, Counts, int]:
    """Merge two strictly ascending lists.

    Ends that do not ascend or lie outside their text, as in a damaged file, are replaced by the nearest possible ones:
    compiled code does not check what memory it reads.

    Returns
    -------
    to_a, to_b, size
        The position in the union of each string of a, and of each of b; and the size of the union.
    """
    to_a, to_b = np.empty(len(a_ends), np.int64), np.empty(len(b_ends), np.int64)
    i = j = size = a_start = b_start = 0
    while i < len(a_ends) or j < len(b_ends):
        a_end = min(max(a_ends[i], a_start), len(a)) if i < len(a_ends) else a_start
        b_end = min(max(b_ends[j], b_start), len(b)) if j < len(b_ends) else b_start
        if i == len(a_ends):
            order = 1
        elif j == len(b_ends):
            order = -1
        else:
            order = _compare_texts(a, a_start, a_end, b, b_start, b_end)
        if order <= 0:
            to_a[i] = size
            i, a_start = i + 1, a_end
        if order >= 0:
            to_b[j] = size
            j, b_start = j + 1, b_end
        size += 1
    return to_a, to_b, size
