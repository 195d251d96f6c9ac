"""Ids, which sort by time and end in 8 random characters, and the search by a part of an id."""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, select

FEWEST_CHARACTERS = 4
"""Fewest characters of a prefix that is looked up: a shorter one would match by chance."""

_LAST = "\U0010ffff"


def generate_id(now: datetime) -> str:
    """Return an id that sorts by time and is safe as a file name: 20261123-013800-123456-7f3a9c1b."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(4)}"


def shorten_id(id_: str) -> str:
    """Return the last part of an id, which people use as its short name."""
    return id_.rpartition("-")[2]


def match_ids(ids: Iterable[str], part: str) -> list[str]:
    """Return the ids that `part` can mean: the id itself, else its last part, else the beginning of that."""
    known = list(ids)
    if part in known:
        return [part]
    if exact := [id_ for id_ in known if shorten_id(id_) == part]:
        return exact
    return [id_ for id_ in known if len(part) >= FEWEST_CHARACTERS and shorten_id(id_).startswith(part)]


def read_matching_ids(connection: Connection, table: Table, part: str, *conditions: Any) -> list[str]:
    """Return the ids of rows that `part` can mean, as `match_ids` does, oldest first.

    There are two queries, because a database may use neither index for one query with OR.
    """
    ids, begins = select(table.c.id).where(*conditions), and_(table.c.short_id >= part, table.c.short_id < part + _LAST)
    whole = list(connection.scalars(ids.where(table.c.id == part)))
    return whole or match_ids(sorted(connection.scalars(ids.where(begins))), part)
