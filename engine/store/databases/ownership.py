"""The owner of a state's rows on a server: the one folder, with files and locks, from which they may be written.

Locks between processes are file locks, which other machines do not see. So the database records the folder and the host
of the state, and other folders may only read. There are no heartbeats or time limits: a state never changes its owner
by itself, only by `engine state adopt`. The folder has an id in the file `state_id`, since two machines can have the
same name and the same paths.
"""

import json
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, select

from engine.atomic_files import replace_file
from engine.store.databases.errors import build_store_error, translate_errors
from engine.store.tables import UtcDateTime

state_owner = Table(
    "state_owner",
    MetaData(),
    Column("state_id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("folder", String, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("by", String, nullable=False),
)
"""Has one row. It is not among the tables of a state, because an SQLite file is in its folder anyway."""

ID_FILE = "state_id"


@dataclass(frozen=True, slots=True)
class StateOwner:
    """A folder on a host, with the id from its file `state_id`."""

    state_id: str
    host: str
    folder: str

    def __str__(self) -> str:
        return f"{self.folder} on {self.host}"


def identify_folder(folder: Path, rows: str) -> StateOwner:
    """Return the identity of a state folder. A folder without an id gets one, with `rows`, the place of its rows.

    The caller must hold the lock `schema` of the folder, unless it has an id.
    """
    with translate_errors(folder):
        found = read_state_id(folder)
        if found is None:
            found = {"id": secrets.token_hex(16), "rows": rows}
            _write_state_id(folder, found)
        return StateOwner(found["id"], socket.gethostname(), str(folder.resolve()))


def record_place(folder: Path, rows: str) -> None:
    """Record in the file `state_id` that the rows of the folder are in `rows` now."""
    found = read_state_id(folder)
    if found is not None and found["rows"] != rows:
        with translate_errors(folder):
            _write_state_id(folder, {"id": found["id"], "rows": rows})


def _write_state_id(folder: Path, values: dict[str, str]) -> None:
    with replace_file(folder / ID_FILE) as new:
        new.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")


def read_state_id(folder: Path) -> dict[str, str] | None:
    """Return the id of a state folder and the place of its rows; None if they are in the folder. Raises StoreError."""
    try:
        text = (folder / ID_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        return {"id": str(found["id"]), "rows": str(found["rows"])}
    except (ValueError, TypeError, KeyError):
        raise build_store_error(
            folder,
            f"the file {ID_FILE} is damaged",
            "remove it, then make this folder the owner of the rows: engine state adopt SPEC",
        ) from None


def read_owner(connection: Connection) -> tuple[StateOwner, datetime] | None:
    """Return the owner of the rows, and since when; None if no folder has claimed them."""
    row = connection.execute(select(state_owner)).first()
    return None if row is None else (StateOwner(row.state_id, row.host, row.folder), row.since)


def write_owner(connection: Connection, owner: StateOwner, now: datetime, by: str) -> None:
    """Make a folder the owner of the rows, in the caller's transaction."""
    connection.execute(delete(state_owner))
    values = {"state_id": owner.state_id, "host": owner.host, "folder": owner.folder}
    connection.execute(insert(state_owner).values(**values, since=now, by=by))
