"""Temporary copies of a state, for dry runs and for states that cannot be written: the state itself never changes.

Files of the state are never rewritten, so links to them are enough. A read-only mode of the store was rejected, because
one forgotten write would break it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.store.clock import utc_now
from engine.store.databases.database_files import copy_database, is_writable_state
from engine.store.databases.errors import name_original, translate_errors
from engine.store.location import StateLocation, as_location
from engine.store.schema import is_current_schema
from engine.store.state.row_copy import copy_server_rows
from engine.store.store import Store, make_subfolders

COPIED_FOLDERS = ("models", "evaluations", "snapshots", "rows")


@contextmanager
def copy_state(place: Path | StateLocation) -> Iterator[Path]:
    """Yield a temporary folder with a copy of a state, without runs and locks; it is removed at the end of the block.

    The rows of the copy are always in its folder, also if those of the state are on a server.

    Raises
    ------
    StoreError
        The state cannot be read.
    """
    location = as_location(place)
    with _link_files(location.folder) as copy:
        if location.rows is None:
            copy_database(location.folder.absolute(), copy)
        else:
            copy_server_rows(location, copy)
        yield copy


def can_write(location: StateLocation) -> bool:
    """Return whether this user and folder may write a state, which need not exist yet; raise StoreError on failure."""
    if not is_writable_state(location.folder):
        return False
    database = location.open_database()
    try:
        return database.owns()
    finally:
        database.close()


@contextmanager
def open_for_reading(location: StateLocation, now: Callable[[], datetime] = utc_now) -> Iterator[Store]:
    """Open a state that this user or this host cannot write, for reading only.

    Rows on a server are read directly if they have the tables of this engine; else they are copied.

    Raises
    ------
    StoreError
        The state cannot be read.
    """
    original = location.folder.absolute()
    with ExitStack() as stack:
        if location.rows is not None:
            copy = stack.enter_context(_link_files(original))
            database = StateLocation(copy, location.rows).open_database(now=now)
            stack.callback(database.close)
            if is_current_schema(database):
                make_subfolders(database)
                database.unwritable, database.has_live_locks = original, False
                yield Store(database)
                return
        with Store.open(stack.enter_context(copy_state(location)), now=now) as store:
            store.database.unwritable = original
            yield store


@contextmanager
def _link_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder with links to the files of a state; messages name the state's own folder instead."""
    folder = folder.absolute()
    with TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary)
        with translate_errors(folder, reading=True):
            for part in COPIED_FOLDERS:
                if (folder / part).is_dir():
                    _link_tree(folder / part, copy / part)
        with name_original(copy, folder):
            yield copy


def _link_tree(source: Path, target: Path) -> None:
    """Create a folder with links to the files of another one, at any depth.

    `shutil.copytree` would give it the mode of that folder; if that is read-only, the copy cannot be removed.
    """
    target.mkdir()
    with os.scandir(source) as entries:
        for one in entries:
            if one.is_dir():
                _link_tree(Path(one.path), target / one.name)
            else:
                (target / one.name).symlink_to(one.path)
