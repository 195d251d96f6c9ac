"""The format and the compression of a data file, by the ending of its path."""

from pathlib import Path, PurePath
from typing import Literal

Compression = Literal["gz", "zip", "zst", "bz2"]

COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst", ".zip": "zip", ".bz2": "bz2"}
"""The compression of a file, by the ending of its path; the ending before it gives the format."""

ENDINGS: dict[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".parq": "parquet",
    ".pqt": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
"""The format of a file, by the ending of its path."""

_PARQUET_CODECS = (".gzip", ".snappy", ".gz", ".zst", ".zstd", ".brotli", ".lz4")
"""Endings that pandas users add after `.parquet` to name the compression of the pages inside."""

SPREADSHEETS = (".xls", ".xlsx", ".xlsm", ".ods")
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz")

SAVE_AS_CSV = "save the sheet as CSV, or read it with a Python function (kind: python)"
UNPACK = "unpack it, and name the file that was in it"


def detect_format(path: str) -> str | None:
    """Return the format for the ending of a path, or None for any other ending."""
    pure = PurePath(path.lower())
    inner = PurePath(pure.stem).suffix
    if pure.suffix in _PARQUET_CODECS and ENDINGS.get(inner) == "parquet":
        return "parquet"
    return ENDINGS.get(inner if pure.suffix in COMPRESSIONS else pure.suffix)


def find_compression(path: Path, declared: str | None = None) -> str | None:
    """Return the compression of a file: as declared, else by its ending; None if it is not compressed."""
    return declared or COMPRESSIONS.get(path.suffix.lower())


def is_unpacked_here(path: Path, declared: str | None = None) -> bool:
    """Return whether a file has a compression that polars does not read."""
    return find_compression(path, declared) in ("zip", "bz2")
