"""Fingerprints of data: BLAKE2b digests of content, independent of paths, names and times.

The digest of a file covers its bytes. It is cached by path and identity (see `engine.file_identity`), so that an
unchanged file is not read again.

The digest of a frame is made of the sums of the hashes of its rows (see `engine.drift.reading.row_hash`): a sum does
not depend on the order of rows and streams over a frame larger than memory, whereas sorting would need all rows at
once.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import polars as pl

from engine.digests import digest_stream, digest_texts
from engine.drift.reading.row_hash import hash_rows
from engine.errors import DataError
from engine.file_identity import FileIdentity


class FileChangedError(DataError):
    """A file changed between its hash and the end of its reading."""


class FileHashes(Protocol):
    """Cache of the digests of files, by path and identity."""

    def get(self, path: str, identity: FileIdentity) -> str | None:
        """Return the cached digest of exactly this state of the file, or None."""

    def put(self, path: str, identity: FileIdentity, digest: str, *, settled: bool) -> None:
        """Store a digest. If not `settled`, the file may have another content with the same identity by now."""


class InMemoryFileHashes(dict[tuple[str, FileIdentity], str]):
    """Cache of file digests in memory, for the lifetime of the object."""

    def get(self, path: str, identity: FileIdentity) -> str | None:  # type: ignore[override]  # not by key
        return super().get((path, identity))

    def put(self, path: str, identity: FileIdentity, digest: str, *, settled: bool) -> None:
        if settled:
            self[path, identity] = digest


def hash_file(path: Path, hashes: FileHashes) -> str:
    """Return the digest of a file's bytes, from the cache if the file is unchanged.

    Raises
    ------
    FileChangedError
        The file is rewritten while it is hashed.
    """
    now = time.time_ns()
    digest = hashes.get(str(path), FileIdentity.from_stat(path.stat()))
    if digest is None:
        with path.open("rb") as file:
            identity = FileIdentity.from_stat(os.fstat(file.fileno()))
            digest = digest_stream(file)
            if FileIdentity.from_stat(os.fstat(file.fileno())) != identity:
                raise FileChangedError(f"{path} changed while it was read")
        hashes.put(str(path), identity, digest, settled=identity.is_settled(now))
    return digest


def hash_frame(frame: pl.DataFrame | pl.LazyFrame) -> str:
    """Return the digest of a frame: names and types of its columns in order, and its rows in any order.

    Two independent 64-bit hashes per row are summed modulo 2**64; the digest covers both sums and the number of rows.

    Raises
    ------
    DataError
        A column holds Python objects, which have no hash of their content.
    """
    schema = frame.collect_schema()
    check_hashable(schema)
    sums = (
        frame.lazy()
        .map_batches(_hash_rows, schema=dict.fromkeys("01", pl.UInt64), streamable=True)
        .select(pl.len(), pl.col("0", "1").sum())  # modulo 2**64: a sum of unsigned integers wraps around
        .collect(engine="streaming")
        .row(0)
    )
    return digest_texts(*(f"{name}:{dtype}" for name, dtype in schema.items()), *map(str, sums))


def check_hashable(schema: Mapping[str, pl.DataType]) -> None:
    """Raise a DataError if a column holds Python objects, which have no hash of their content."""
    if objects := [name for name, dtype in schema.items() if dtype == pl.Object]:
        raise DataError(f"column {objects[0]!r} holds Python objects: convert it to text, numbers or dates")


def _hash_rows(batch: pl.DataFrame) -> pl.DataFrame:
    """Return two 64-bit hashes of each row, with the seeds 0 and 1 as column names."""
    return pl.DataFrame({str(seed): hash_rows(batch, seed) for seed in (0, 1)})
