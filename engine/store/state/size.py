"""The size of a state: its database and its folders."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from engine.store.databases.errors import translate_errors
from engine.store.folders import SUBFOLDERS
from engine.store.store import Store
from engine.store.tables import metadata

LARGE_BYTES = 10 * 1024**3
LARGE_ROWS = 1_000_000
"""A state without retention that is larger than this gets a warning."""


@dataclass(frozen=True, slots=True)
class StateSize:
    """The bytes of a state's database, with its write-ahead log, and of its folders, and the number of rows.

    `database` is the name of the database for messages.
    """

    database_bytes: int
    folder_bytes: int
    rows: int
    database: str = "state.db"

    @property
    def is_large(self) -> bool:
        """Whether the user should consider a retention."""
        return self.database_bytes + self.folder_bytes > LARGE_BYTES or self.rows > LARGE_ROWS


def describe_size(store: Store) -> StateSize:
    """Return the size of a state. This reads all folders, which takes seconds in a large state."""
    with store.database.begin_read() as connection:
        rows = sum(
            connection.scalars(select(func.count()).select_from(table)).one() for table in metadata.sorted_tables
        )
    with translate_errors(store.folder):
        folders = sum(measure_folder(store.folder / part) for part in SUBFOLDERS)
    return StateSize(store.database.measure_bytes(), folders, rows, store.database.name)


def measure_folder(folder: Path) -> int:
    """Return the bytes that removing a folder frees; files with further hard links free none."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # another process may remove it meanwhile
                found = Path(parent, name).lstat()
                size += found.st_size if found.st_nlink == 1 else 0
    return size
