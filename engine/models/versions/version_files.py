"""The files of a trained version: their names, and whether they are unchanged since the engine wrote them."""

from collections.abc import Mapping
from pathlib import Path

from engine.data.files.hashes import FileHashes, hash_file
from engine.digests import digest_file
from engine.errors import ModelError

REMEDY = "train it again by a build step whose target is the model itself, with mode: force"
TEST_ROWS = "test.parquet"
"""The held-out rows of a trained version."""
PROBE = "probe.parquet"
PROBE_FILE = "probe_rows.parquet"
"""In a bundle: rows and the scores that the version gave them, in columns after those of the rows."""


def digest_files(folder: Path) -> dict[str, str]:
    """Return the digests of the files in a folder, by name."""
    return {path.name: digest_file(path) for path in sorted(folder.iterdir())}


def verify_files(where: str, folder: Path, version: int, digests: Mapping[str, str], hashes: FileHashes) -> None:
    """Raise a ModelError if a file of a trained version has changed since the engine wrote it."""
    for file, digest in digests.items():
        path = (folder / file).resolve()  # in a plan, files are links to those of the state
        if not path.is_file():
            raise ModelError(f"{where}: {path} of version {version} is missing: restore it from a backup, or {REMEDY}")
        if hash_file(path, hashes) != digest:
            raise ModelError(describe_changed_file(where, path))


def describe_changed_file(where: str, path: Path) -> str:
    """Return the message for a file that has changed since the engine wrote it."""
    return f"{where}: {path} has changed since the engine wrote it: restore it from a backup, or {REMEDY}"
