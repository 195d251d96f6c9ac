"""What data are, as a BLAKE2b digest of their content: paths, names and times play no part.

A file's digest is that of its bytes, remembered by path, size and modification time so that an unchanged file is not
read again. A frame's is made of polars' row hashes, added up, so that the order of rows does not matter and a frame
larger than memory streams through; sorting would need them all at once. polars keeps its hash the same within one
of its versions, not across: after an upgrade python datasets look new, which recomputes, never the reverse.
"""

import hashlib
from pathlib import Path
from typing import Protocol

import polars as pl

from engine.errors import DataError

DIGEST_SIZE = 16


class FileHashes(Protocol):
    """Remembers the digests of files, so that unchanged ones are not read again."""

    def get(self, path: str, size: int, mtime_ns: int) -> str | None:
        """Return the digest remembered for exactly this state of the file."""

    def put(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        """Remember a digest."""


class HashesInMemory(dict[tuple[str, int, int], str]):
    """File digests remembered as long as the object lives."""

    def get(self, path: str, size: int, mtime_ns: int) -> str | None:  # type: ignore[override]  # a file's state, no key
        return super().get((path, size, mtime_ns))

    def put(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        self[path, size, mtime_ns] = digest


def combine(*parts: str) -> str:
    """Return one digest of several texts, in order; no two different lists of texts share the bytes hashed."""
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def of_file(path: Path, hashes: FileHashes) -> str:
    """Return the digest of a file's bytes, from memory if size and modification time are those remembered."""
    state = path.stat()
    known = hashes.get(str(path), state.st_size, state.st_mtime_ns)
    if known is None:
        with path.open("rb") as file:
            known = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_SIZE)).hexdigest()
        hashes.put(str(path), state.st_size, state.st_mtime_ns, known)
    return known


def of_frame(frame: pl.DataFrame | pl.LazyFrame) -> str:
    """Return the digest of a frame: names and types of its columns in order, and its rows in any order.

    Raises
    ------
    DataError
        A column holds Python objects, whose hash means nothing.
    """
    schema = frame.collect_schema()
    if objects := [name for name, dtype in schema.items() if dtype == pl.Object]:
        raise DataError(f"column {objects[0]!r} holds Python objects: make it text, numbers or dates")
    sums = (
        frame.lazy()
        .map_batches(_row_hashes, schema=dict.fromkeys("01", pl.UInt64), streamable=True)
        .select(pl.len(), pl.col("0", "1").sum())  # modulo 2**64: polars' sum of unsigned numbers wraps
        .collect(engine="streaming")
        .row(0)
    )
    return combine(*(f"{name}:{dtype}" for name, dtype in schema.items()), *map(str, sums))


def _row_hashes(batch: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({str(seed): batch.hash_rows(seed=seed) for seed in (0, 1)})
