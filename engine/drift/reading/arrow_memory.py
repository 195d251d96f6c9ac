"""The memory where polars holds a column, without a copy and without a Python object per value.

polars exports columns through Arrow's C stream interface.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.kernels.validity import copy_present
from engine.drift.reading.arrow_structures import ArrowArray, ArrowSchema, ArrowStream, open_capsule


class _Memory:
    """Memory of another library, for numpy."""

    def __init__(self, address: int, size: int, kind: str) -> None:
        self.__array_interface__ = {"version": 3, "data": (address, True), "shape": (size,), "typestr": kind}


_NUMBERS = {b"l": np.int64, b"f": np.float32, b"g": np.float64}
"""The types of numbers by Arrow's name."""


def iterate_arrays(column: pl.Series) -> Iterator[tuple[bytes, ArrowArray]]:
    """Yield Arrow's name of the type, and the memory of consecutive parts of a column, until the next is asked for."""
    # without its name, which is not needed here, and which not every reader of this interface can take
    capsule = column.alias("").__arrow_c_stream__(None)
    stream = ArrowStream.from_address(open_capsule(capsule, b"arrow_array_stream"))
    kind = _read_format(stream)
    array = ArrowArray()
    while not stream.get_next(ctypes.addressof(stream), ctypes.addressof(array)) and array.release:
        try:
            yield kind, array
        finally:
            array.release(ctypes.addressof(array))


def read_memory(address: int, size: int, kind: str) -> NDArray[Any]:
    """Return the numbers that are at an address, as long as their owner lives."""
    return np.asarray(_Memory(address, size, kind)) if size else np.empty(0, kind)


def read_validity(array: ArrowArray) -> tuple[NDArray[np.uint8], int]:
    """Return bytes whose bits say which values are present, and the position of the first bit; none if all are."""
    if not array.null_count or not array.buffers[0]:
        return np.empty(0, np.uint8), 0
    first = array.offset % 8
    return read_memory(array.buffers[0] + array.offset // 8, (first + array.length + 7) // 8, "u1"), first


def present_numbers(column: pl.Series) -> NDArray[Any]:
    """Return the numbers of a column of int64 or floats that are not missing; without missing ones nothing is copied.

    polars' `drop_nulls` runs a query, which takes longer than to read a block, even where nothing is missing.
    """
    if not column.null_count():
        return column.to_numpy()
    parts = []
    for kind, array in iterate_arrays(column):
        number = np.dtype(_NUMBERS[kind])
        values = read_memory(array.buffers[1] + number.itemsize * array.offset, array.length, number.str)
        bits, first = read_validity(array)
        present = np.empty(len(values) + 1, number)
        parts.append(present[: copy_present(values, bits, first, present)] if len(bits) else values.copy())
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _read_format(stream: ArrowStream) -> bytes:
    schema = ArrowSchema()
    if stream.get_schema(ctypes.addressof(stream), ctypes.addressof(schema)):
        return b""
    kind: bytes = schema.format
    schema.release(ctypes.addressof(schema))
    return kind
