"""The bytes of a column of text in the memory where polars holds them.

A text is described there by a view of 16 bytes: the number of its bytes, then up to 12 bytes of the text itself, or
else 4 bytes of it, the number of a buffer, and the position in that buffer.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.kernels.key_counts import Indices, Keys, count_pairs
from engine.drift.kernels.value_hashes import INLINE_BYTES, VIEW_BYTES, Positions, locate_texts
from engine.drift.kernels.value_tables import Counts
from engine.drift.reading.arrow_memory import iterate_arrays, read_memory, read_validity
from engine.drift.reading.arrow_structures import ArrowArray


def iterate_texts(column: pl.Series) -> Iterator[tuple[NDArray[np.uint8], Positions, Positions]]:
    """Yield where the texts of consecutive parts of a column are; no value of text or bytes may be missing.

    Yields
    ------
    memory, starts, lengths
        Bytes, the position in them of each text's first byte, and the number of its bytes. They may be read until the
        next part is asked for, and only where a text is: between the texts may be memory that nobody may read.
    """
    for kind, array in iterate_arrays(column):
        # views of text or of bytes, which are what polars exports; another version might export something else
        if kind not in (b"vu", b"vz"):
            yield copy_texts(column)
            return
        yield _locate_views(array)


def copy_texts(column: pl.Series) -> tuple[NDArray[np.uint8], Positions, Positions]:
    """Return what `iterate_texts` yields, of the whole column, with a copy of all texts: this takes longer."""
    column = column.cast(pl.Binary)
    lengths = column.bin.size().cast(pl.Int64).to_numpy()
    data = column.cast(pl.List(pl.UInt8)).list.explode(empty_as_null=False, keep_nulls=False).to_numpy()
    return data, np.cumsum(lengths) - lengths, lengths


def _locate_views(array: ArrowArray) -> tuple[NDArray[np.uint8], Positions, Positions]:
    """Return where the texts of an exported array are, all in one stretch of memory that holds all of its buffers."""
    if not array.length:
        return np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64)
    # buffers: validity, views, then those of the texts, and last the sizes of these
    views = array.buffers[1] + VIEW_BYTES * array.offset
    texts = array.n_buffers - 3
    addresses = np.array([*(array.buffers[2 + i] or views for i in range(texts)), views])
    sizes = np.append(read_memory(array.buffers[2 + texts], texts, "i8"), VIEW_BYTES * array.length)
    base = int(addresses.min())
    starts, lengths = locate_texts(read_memory(views, array.length * VIEW_BYTES // 4, "u4"), addresses - base)
    return read_memory(base, int((addresses + sizes).max()) - base, "u1"), starts, lengths


def count_views(column: pl.Series, slots: Indices, distinct: Keys, firsts: Indices, counts: Counts) -> tuple[int, int]:
    """Count the distinct views of a column of text; missing texts are not counted.

    A text of up to 12 bytes has one view. Equal texts that are longer share theirs where they come from one dictionary
    of a file.

    Parameters
    ----------
    column
        Its values are in one part of memory.
    slots, distinct, firsts, counts
        As the kernel `count_pairs` takes them.

    Returns
    -------
    n, n_long
        The number of distinct views, and of those of texts that are not in their view; where polars exports no views,
        every value may be one.
    """
    n = 0
    for kind, array in iterate_arrays(column):
        if kind != b"vu" or array.length != len(column):
            return 0, len(column)
        views = read_memory(array.buffers[1] + VIEW_BYTES * array.offset, 2 * array.length, "u8")
        n = count_pairs(views, *read_validity(array), slots, distinct, firsts, counts)
    lengths = distinct[: 2 * n : 2].astype(np.uint32)  # the lower half of a view's first word
    return n, int((lengths > INLINE_BYTES).sum())
