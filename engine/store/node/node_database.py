"""Opens the database of an infrastructure, node.db, with the same settings as the database of a state."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from engine.errors import StoreError
from engine.store.clock import utc_now
from engine.store.databases.errors import translate_errors
from engine.store.databases.sqlite import SqliteDatabase
from engine.store.schema import prepare_schema

NODE_REVISION = "0003"
NODE_MIGRATIONS = Path(__file__).parent / "migrations"
PATIENCE_SECONDS = 30.0


class NodeDatabase(SqliteDatabase):
    """The database of an infrastructure; its errors name node.db."""

    @contextmanager
    def begin_read(self) -> Iterator[Connection]:
        """Open a transaction with one consistent view."""
        with name_node(), super().begin_read() as connection:
            yield connection

    @contextmanager
    def begin_write(self) -> Iterator[Connection]:
        """Open a writing transaction, which is atomic."""
        with name_node(), super().begin_write() as connection:
            yield connection


def open_node_database(folder: Path, now: Callable[[], datetime] = utc_now) -> NodeDatabase:
    """Open the database in the folder of an infrastructure; create both if they are missing.

    Raises
    ------
    StoreError
        The folder or the database cannot be used.
    """
    folder = folder.absolute()
    database = NodeDatabase(folder, file="node.db", now=now, patience=PATIENCE_SECONDS)
    with name_node():
        with translate_errors(folder):
            for part in ("locks", "staging", "bundles", "deployments"):
                (folder / part).mkdir(parents=True, exist_ok=True)
        prepare_schema(database, NODE_MIGRATIONS, NODE_REVISION)
    return database


@contextmanager
def name_node() -> Iterator[None]:
    """Replace the names in errors of the block: the shared database code writes about the state of a project."""
    try:
        yield
    except StoreError as error:
        text = str(error).replace("state folder", "infrastructure").replace("state.db", "node.db")
        text = text.replace("`state: {path: …}`", "`path:` of the infrastructure")
        error.args = (text,)  # the class stays the same, because callers catch LockBusy
        raise
