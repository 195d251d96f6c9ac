"""`engine state adopt`: makes a folder the owner of the rows on a server, and copies rows of `state.db` there."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from engine.errors import StoreError
from engine.store.clock import utc_now
from engine.store.databases.errors import build_store_error
from engine.store.databases.ownership import ID_FILE, StateOwner
from engine.store.databases.postgresql import PostgresqlDatabase
from engine.store.location import StateLocation
from engine.store.locks import SERVER_LOCK, Locks
from engine.store.schema import find_revision, prepare_schema
from engine.store.state.row_copy import copy_rows
from engine.store.store import Store, make_subfolders

MOVED_SUFFIX = ".moved"


@dataclass(frozen=True, slots=True)
class Adoption:
    """The result of an adoption.

    Attributes
    ----------
    database
        The name of the database with the rows.
    former
        The former owner; None if there was no other one.
    copied
        The number of rows copied from `state.db`, which is renamed to `state.db.moved`; None if nothing was copied.
    """

    database: str
    former: StateOwner | None
    copied: int | None


def adopt_rows(location: StateLocation, *, now: Callable[[], datetime] = utc_now) -> Adoption:
    """Make the folder of a state the owner of its rows on a server.

    If the server has no rows yet and the folder has a `state.db`, its rows are copied first, in one transaction.

    Raises
    ------
    StoreError
        The spec keeps the rows in the folder; the server cannot be used; or a run or `engine serve` uses the
        `state.db`.
    """
    if location.rows is None:
        raise build_store_error(
            location.folder.absolute(),
            "its rows are in state.db, in this folder, so it belongs to it anyway",
            "nothing, unless `connection:` is missing in `state:` of the spec",
        )
    database = location.open_database(now=now)
    if not isinstance(database, PostgresqlDatabase):
        raise TypeError(f"{database.name} has no owner")
    try:
        make_subfolders(database)
        copied = None
        if find_revision(database) is None and (database.folder / "state.db").exists():
            copied = _bring_rows(database, now)
        prepare_schema(database)
        former = database.adopt()
        if copied is None and former is None:
            _set_aside(database.folder)  # left by a move that was killed after its rows were committed
        return Adoption(database.name, former, copied)
    finally:
        database.close()


def _bring_rows(database: PostgresqlDatabase, now: Callable[[], datetime]) -> int:
    folder, count = database.folder, 0
    (folder / ID_FILE).unlink(missing_ok=True)  # left by a move that was killed before its commit
    with Store.open(folder, now=now) as store:
        running = [run.id for run in store.runs.list_running() if store.runs.is_alive(run.id)]
        served = Locks(folder, now).is_held(SERVER_LOCK)
        if running or served:
            raise _refuse_at_work(database, running)
        with store.database.begin_write() as rows:  # so that nothing is added meanwhile

            def fill(connection: Connection) -> None:
                nonlocal count
                count = copy_rows(rows, connection)

            prepare_schema(database, fill=fill)
    _set_aside(folder)
    return count


def _set_aside(folder: Path) -> None:
    path = folder / "state.db"
    if not path.exists():
        return
    database = StateLocation(folder).open_database()
    try:
        database.merge_log(whole=True)
    finally:
        database.close()
    path.rename(f"{path}{MOVED_SUFFIX}")


def _refuse_at_work(database: PostgresqlDatabase, running: list[str]) -> StoreError:
    who = f"run {running[0]} is running" if running else "engine serve is running"
    return build_store_error(database.folder, f"state.db cannot be moved while {who}", "end it, then try again")
