"""Copies of a database from before a migration of its tables, for going back to an older version of the engine.

A migration only adds to the tables, but an older version refuses tables that it does not know.
"""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from engine.atomic_files import sync_path

KEPT_COPIES = 2


def keep_copy(path: Path, revision: str, known: Collection[str]) -> Path:
    """Copy the rows of a database beside it, as `state.db.<revision>`, and remove all but the newest two copies.

    `known` are all revisions; files with other suffixes are not copies. Must be called in the migrating transaction
    before its first change, so that nobody else can write meanwhile.
    """
    part, copy = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.{revision}")
    part.unlink(missing_ok=True)  # left by a killed process
    try:
        with closing(sqlite3.connect(path)) as rows, closing(sqlite3.connect(part)) as target:
            rows.backup(target)
        sync_path(part)
        part.replace(copy)
        sync_path(path.parent)
    finally:
        part.unlink(missing_ok=True)
    for old in _list_copies(path, known)[:-KEPT_COPIES]:
        old.unlink(missing_ok=True)
    return copy


def describe_way_back(path: Path, known: Collection[str]) -> str:
    """Return instructions for going back to the newest copy with tables of a known revision; empty without a copy."""
    copies = _list_copies(path, known)
    if not copies:
        return ""
    copy, name = copies[-1], path.name
    return (
        f"; or go back to how it was before, without what was recorded since: end all processes of the engine here, "
        f"remove {name}-wal and {name}-shm, and rename {copy.name} to {name}"
    )


def _list_copies(path: Path, known: Collection[str]) -> list[Path]:
    """Return the copies of a database, oldest first."""
    found = [one for one in path.parent.glob(f"{path.name}.*") if one.suffix[1:] in known]
    return sorted(found, key=lambda one: one.stat().st_mtime_ns)
