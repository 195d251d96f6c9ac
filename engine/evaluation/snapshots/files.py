"""The files of a snapshot, and a check that they are unchanged, without importing the modules that read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.digests import digest_file, digest_json

FACTS_FILE = "snapshot.json"
"""The file with the digests of the other files and its own."""

SCORED_ROWS_FILE = "scored.parquet"
SEGMENTS_FILE = "segments.zip"
FILES = ("columns.profile", "predictions.profile", "sample.parquet", SCORED_ROWS_FILE, SEGMENTS_FILE)
"""The other files of a snapshot; one without a model has no predictions."""


def verify_files(facts: dict[str, Any], folder: Path) -> None:
    """Raise ValueError if a file has changed since it was written; earlier versions stored no digests.

    `facts` are those of snapshot.json, whose own digest is removed from them.
    """
    digest = facts.pop("digest", None)
    if digest is None and "files" not in facts:
        return
    if digest_json(facts) != digest:
        raise ValueError(f"{FACTS_FILE} is not as it was written")
    files: Mapping[str, str] = facts["files"]
    for name, kept in files.items():
        if name not in FILES:
            raise ValueError(f"{FACTS_FILE} names a file that no snapshot has")
        if digest_file(folder / name) != kept:
            raise ValueError(f"{name} is not as it was written")
