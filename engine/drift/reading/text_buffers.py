"""Access to the bytes of a text column in polars' memory.

Each text has a view of 16 bytes: its number of bytes, then either the text itself (up to 12 bytes), or its first 4
bytes, the number of a buffer, and the position in that buffer.
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
    """Yield the positions of the texts of consecutive parts of a column of text or bytes without missing values.

    Yields
    ------
    memory, starts, lengths
        Bytes, and per text the position of its first byte and its number of bytes. They are valid until the next part
        is requested. Only the texts themselves may be read: the memory between them may be inaccessible.
    """
    for kind, array in iterate_arrays(column):
        # views of text or of bytes, which polars exports today; another version may export another format
        if kind not in (b"vu", b"vz"):
            yield copy_texts(column)
            return
        yield _locate_views(array)


def copy_texts(column: pl.Series) -> tuple[NDArray[np.uint8], Positions, Positions]:
    """Return the result of `iterate_texts` for the whole column, with a copy of all texts, which takes longer."""
    column = column.cast(pl.Binary)
    lengths = column.bin.size().cast(pl.Int64).to_numpy()
    data = column.cast(pl.List(pl.UInt8)).list.explode(empty_as_null=False, keep_nulls=False).to_numpy()
    return data, np.cumsum(lengths) - lengths, lengths


def _locate_views(array: ArrowArray) -> tuple[NDArray[np.uint8], Positions, Positions]:
    """Return the positions of the texts of an exported array, in one stretch of memory that spans all its buffers."""
    if not array.length:
        return np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64)
    # buffers: validity, views, the buffers of the texts, and last the sizes of these
    views = array.buffers[1] + VIEW_BYTES * array.offset
    texts = array.n_buffers - 3
    addresses = np.array([*(array.buffers[2 + i] or views for i in range(texts)), views])
    sizes = np.append(read_memory(array.buffers[2 + texts], texts, "i8"), VIEW_BYTES * array.length)
    base = int(addresses.min())
    starts, lengths = locate_texts(read_memory(views, array.length * VIEW_BYTES // 4, "u4"), addresses - base)
    return read_memory(base, int((addresses + sizes).max()) - base, "u1"), starts, lengths


def count_views(
    column: pl.Series, known: int, slots: Indices, distinct: Keys, firsts: Indices, counts: Counts
) -> tuple[int, int]:
    """Count the distinct views of a column of text; missing texts are not counted.

    Equal texts of up to 12 bytes have the same view. Equal longer texts share a view if they come from one dictionary
    of a file.

    Parameters
    ----------
    column
        Must be in one part of memory.
    known
        The number of views that were counted before.
    slots, distinct, firsts, counts
        Working memory, inputs and outputs of the kernel `count_pairs`.

    Returns
    -------
    n, n_long
        The number of distinct views, and how many of them are of long texts, which are not in the view. If polars
        exports no views: 0, and the number of values, since any of them may be long.
    """
    n = 0
    for kind, array in iterate_arrays(column):
        if kind != b"vu" or array.length != len(column):
            return 0, len(column)
        views = read_memory(array.buffers[1] + VIEW_BYTES * array.offset, 2 * array.length, "u8")
        n = count_pairs(views, *read_validity(array), known, slots, distinct, firsts, counts)
    return n, int((_measure_views(distinct[: 2 * n]) > INLINE_BYTES).sum())


def read_short_views(views: Keys) -> list[str]:
    """Return the texts of views, given as two words each; each text is short enough to be kept in its view."""
    memory = views.tobytes()
    starts = range(4, len(memory), VIEW_BYTES)
    return [memory[start : start + size].decode() for start, size in zip(starts, _measure_views(views), strict=True)]


def sort_short_views(views: Keys) -> tuple[NDArray[np.intp], NDArray[np.uint8], Counts]:
    """Sort the texts of views, given as two words each; each text is short enough to be kept in its view.

    Returns
    -------
    order, text, ends
        The positions of the texts, ascending by their UTF-8 bytes; their bytes in this order, one after another; and
        the end of each among these.
    """
    sizes = _measure_views(views)
    # The bytes of a text, filled with zeros: as a big-endian number they ascend with the text. Of two texts that differ
    # only in zeros at their end, the shorter one comes first.
    start, rest = (views[::2] >> np.uint64(32)).astype(np.uint32).byteswap(), views[1::2].byteswap()
    order = np.lexsort((sizes, rest, start))
    sizes = sizes[order]
    filled = views.reshape(-1, 2)[order].view(np.uint8)[:, VIEW_BYTES - INLINE_BYTES :]
    return order, filled[np.arange(INLINE_BYTES) < sizes[:, None]], np.cumsum(sizes, dtype=np.int64)


def _measure_views(views: Keys) -> NDArray[np.uint32]:
    """Return the number of bytes of each text: the lower half of the first word of its view."""
    return views[::2].astype(np.uint32)
