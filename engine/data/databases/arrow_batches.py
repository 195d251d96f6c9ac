"""Batches of an Arrow stream as frames, read ahead by a thread while others hash and write earlier batches.

polars and nanoarrow hold the interpreter's lock while they wait for the next batch of a stream, so that no other thread
runs (findings/polars-stream-stops-threads.sh). So batches are requested through Arrow's C interface, and polars takes
over each batch without a copy.
"""

import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
from polars.io.plugins import register_io_source

from engine.connections.postgresql import ArrowStream as Stream
from engine.drift.reading.arrow_structures import (
    ArrowArray,
    ArrowSchema,
    ArrowStream,
    make_capsule,
    open_capsule,
)


class StreamError(Exception):
    """A stream ended before its last row; the message is that of its source."""


class ArrowBatches:
    """The batches of a stream, which can be read once.

    Attributes
    ----------
    schema
        The types of the columns.
    """

    def __init__(self, stream: Stream) -> None:
        self._capsule = stream.__arrow_c_stream__(None)  # frees the stream when it is deleted
        self._stream = ArrowStream.from_address(open_capsule(self._capsule, b"arrow_array_stream"))
        self.schema = pl.Schema(self)

    def scan(self) -> pl.LazyFrame:
        """Return the rows as a frame that can be read once; raises StreamError if they end before the last row."""
        return register_io_source(lambda *_: self._read_ahead(), schema=self.schema)

    def _read_ahead(self) -> Iterator[pl.DataFrame]:
        with ThreadPoolExecutor(1, "rows of a stream") as thread:
            upcoming = thread.submit(self._read_next)
            while (batch := upcoming.result()) is not None:
                upcoming = thread.submit(self._read_next)
                yield pl.DataFrame(batch)

    def _read_next(self) -> "_Batch | None":
        array = ArrowArray()
        self._check(self._stream.get_next(ctypes.addressof(self._stream), ctypes.addressof(array)))
        return _Batch(self, array) if array.release else None

    def __arrow_c_schema__(self) -> object:
        schema = ArrowSchema()
        self._check(self._stream.get_schema(ctypes.addressof(self._stream), ctypes.addressof(schema)))
        self._exported = schema  # its memory must exist until polars has taken it over
        return make_capsule(ctypes.addressof(schema), b"arrow_schema", None)

    def _check(self, failed: int) -> None:
        if failed:
            said = self._stream.get_last_error(ctypes.addressof(self._stream))
            raise StreamError((said or b"no reason was given").decode(errors="replace"))


class _Batch:
    """One batch, in a form that polars can take over."""

    def __init__(self, batches: ArrowBatches, array: ArrowArray) -> None:
        self._batches, self._array = batches, array

    def __del__(self) -> None:
        if self._array.release:  # polars has not taken it over
            self._array.release(ctypes.addressof(self._array))

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._batches.__arrow_c_schema__(), make_capsule(ctypes.addressof(self._array), b"arrow_array", None)
