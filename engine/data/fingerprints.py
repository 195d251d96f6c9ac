"""Fingerprints of frames: BLAKE2b digests of content, independent of names and times; those of files: `files.hashes`.

The digest of a frame is computed from sums of the hashes of its rows (see `engine.drift.reading.row_hash`): a sum does
not depend on the order of rows and can be computed for a frame larger than memory, whereas sorting would need all rows
at once.
"""

from collections.abc import Collection, Mapping, Sequence
from threading import Lock

import polars as pl

from engine.digests import digest_texts
from engine.errors import DataError


def hash_frame(frame: pl.DataFrame | pl.LazyFrame) -> str:
    """Return the digest of a frame: names and types of its columns in order, and its rows in any order.

    Two independent 64-bit hashes per row are summed modulo 2**64; the digest covers both sums and the number of rows.

    Raises
    ------
    DataError
        A column holds Python objects, which have no hash of their content.
    """
    hasher = FrameHasher()
    hasher.watch(frame.lazy()).select(pl.len()).collect(engine="streaming")
    return hasher.digest()


def digest_row_sums(schema: Mapping[str, pl.DataType], count: int, sums: Sequence[int]) -> str:
    """Return the digest of a frame from its columns, its number of rows and the sums of their hashes."""
    texts = (f"{name}:{dtype}" for name, dtype in schema.items())
    return digest_texts(*texts, *map(str, (count, *(one % 2**64 for one in sums))))


class FrameHasher:
    """Computes the digest of a frame while its rows are read for another purpose: see `hash_frame`.

    Attributes
    ----------
    left_out
        Names of columns that are not part of the digest.
    count
        The number of rows read so far.
    """

    def __init__(self, left_out: Collection[str] = ()) -> None:
        self.left_out = left_out
        self.count = 0
        self._schema: Mapping[str, pl.DataType] = {}
        self._sums = [0, 0]
        self._lock = Lock()

    def watch(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Return a frame with the same rows, to be read once; reading adds them to the digest.

        Raises
        ------
        DataError
            A column holds Python objects, which have no hash of their content.
        """
        schema = frame.collect_schema()
        self._schema = {name: dtype for name, dtype in schema.items() if name not in self.left_out}
        check_hashable(self._schema)
        # All rows and columns pass through, including those that are not needed afterwards.
        return frame.map_batches(
            self._add,
            streamable=True,
            schema=schema,
            predicate_pushdown=False,
            projection_pushdown=False,
            slice_pushdown=False,
        )

    def digest(self) -> str:
        """Return the digest of the rows read so far."""
        return digest_row_sums(self._schema, self.count, self._sums)

    def _add(self, batch: pl.DataFrame) -> pl.DataFrame:
        from engine.drift.reading.row_hash import hash_rows  # needs numba, which a reused digest does not

        rows = batch.drop(self.left_out)
        sums = [int(hash_rows(rows, seed).sum()) for seed in (0, 1)]
        with self._lock:  # batches may come from several threads
            self.count += len(batch)
            self._sums = [(one + more) % 2**64 for one, more in zip(self._sums, sums, strict=True)]
        return batch


def check_hashable(schema: Mapping[str, pl.DataType]) -> None:
    """Raise a DataError if a column holds Python objects, which have no hash of their content."""
    if objects := [name for name, dtype in schema.items() if dtype == pl.Object]:
        raise DataError(f"column {objects[0]!r} holds Python objects: convert it to text, numbers or dates")
