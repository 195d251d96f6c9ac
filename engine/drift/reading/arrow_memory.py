"""Access to the memory of a polars column, without a copy and without a Python object per value.

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
    """Memory of another library, wrapped for numpy."""

    def __init__(self, address: int, size: int, kind: str) -> None:
        self.__array_interface__ = {"version": 3, "data": (address, True), "shape": (size,), "typestr": kind}


_NUMBERS = {b"l": np.int64, b"f": np.float32, b"g": np.float64}
"""The numpy types of numbers by Arrow's format code."""


def iterate_arrays(column: pl.Series) -> Iterator[tuple[bytes, ArrowArray]]:
    """Yield Arrow's format code and the memory of consecutive parts of a column; each is valid until the next."""
    # without its name, which is not needed and which some readers of this interface cannot take
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
    """Return the numbers at an address; they are valid while their owner exists."""
    return np.asarray(_Memory(address, size, kind)) if size else np.empty(0, kind)


def read_validity(array: ArrowArray) -> tuple[NDArray[np.uint8], int]:
    """Return a bit mask of the present values and the position of its first bit; an empty mask if all are present."""
    if not array.null_count or not array.buffers[0]:
        return np.empty(0, np.uint8), 0
    first = array.offset % 8
    return read_memory(array.buffers[0] + array.offset // 8, (first + array.length + 7) // 8, "u1"), first


def present_numbers(column: pl.Series) -> NDArray[Any]:
    """Return the present numbers of a column of integers, as int64, or floats; nothing is copied unless necessary.

    polars' `drop_nulls` runs a query, which takes longer than reading a block, even if nothing is missing.
    """
    if column.dtype.is_integer():
        column = column.cast(pl.Int64)
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
