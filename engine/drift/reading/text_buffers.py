"""The bytes of a column of text in the memory where polars holds them, without a Python object or a copy per value.

polars exports columns through Arrow's C stream interface. A text is described there by a view of 16 bytes: the
number of its bytes, then up to 12 bytes of the text itself, or else 4 bytes of it, the number of a buffer, and the
position in that buffer.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.kernels.value_hashes import VIEW_BYTES, Positions, locate_texts
from engine.drift.reading.arrow_structures import ArrowArray, ArrowSchema, ArrowStream, open_capsule


class _Memory:
    """Memory of another library, for numpy."""

    def __init__(self, address: int, size: int, kind: str) -> None:
        self.__array_interface__ = {"version": 3, "data": (address, True), "shape": (size,), "typestr": kind}


def iterate_texts(column: pl.Series) -> Iterator[tuple[NDArray[np.uint8], Positions, Positions]]:
    """Yield where the texts of consecutive parts of a column are; no value of text or bytes may be missing.

    Yields
    ------
    memory, starts, lengths
        Bytes, the position in them of each text's first byte, and the number of its bytes. They may be read until the
        next part is asked for, and only where a text is: between the texts may be memory that nobody may read.
    """
    # without its name, which is not needed here, and which not every reader of this interface can take
    capsule = column.alias("").__arrow_c_stream__(None)
    stream = ArrowStream.from_address(open_capsule(capsule, b"arrow_array_stream"))
    # views of text or of bytes, which are what polars exports; another version might export something else
    if _read_format(stream) not in (b"vu", b"vz"):
        yield copy_texts(column)
        return
    array = ArrowArray()
    while not stream.get_next(ctypes.addressof(stream), ctypes.addressof(array)) and array.release:
        try:
            yield _locate_views(array)
        finally:
            array.release(ctypes.addressof(array))


def copy_texts(column: pl.Series) -> tuple[NDArray[np.uint8], Positions, Positions]:
    """Return what `iterate_texts` yields, of the whole column, with a copy of all texts: this takes longer."""
    column = column.cast(pl.Binary)
    lengths = column.bin.size().cast(pl.Int64).to_numpy()
    data = column.cast(pl.List(pl.UInt8)).list.explode(empty_as_null=False, keep_nulls=False).to_numpy()
    return data, np.cumsum(lengths) - lengths, lengths


def _read_format(stream: ArrowStream) -> bytes:
    schema = ArrowSchema()
    if stream.get_schema(ctypes.addressof(stream), ctypes.addressof(schema)):
        return b""
    kind: bytes = schema.format
    schema.release(ctypes.addressof(schema))
    return kind


def _locate_views(array: ArrowArray) -> tuple[NDArray[np.uint8], Positions, Positions]:
    """Return where the texts of an exported array are, all in one stretch of memory that holds all of its buffers."""
    if not array.length:
        return np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64)
    # buffers: validity, views, then those of the texts, and last the sizes of these
    views = array.buffers[1] + VIEW_BYTES * array.offset
    texts = array.n_buffers - 3
    addresses = np.array([*(array.buffers[2 + i] or views for i in range(texts)), views])
    sizes = np.append(_read_memory(array.buffers[2 + texts], texts, "i8"), VIEW_BYTES * array.length)
    base = int(addresses.min())
    starts, lengths = locate_texts(_read_memory(views, array.length * VIEW_BYTES // 4, "u4"), addresses - base)
    return _read_memory(base, int((addresses + sizes).max()) - base, "u1"), starts, lengths


def _read_memory(address: int, size: int, kind: str) -> NDArray[Any]:
    return np.asarray(_Memory(address, size, kind)) if size else np.empty(0, kind)
