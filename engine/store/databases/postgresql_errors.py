"""Explains errors of a PostgreSQL server for a state: the cause, and what to do."""

import re
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from engine.connections.postgresql_errors import NO_CONNECTION_LEFT, explain_postgresql_error
from engine.store.databases.errors import RECORD_EXISTS

_ABSENT = ("42P01", "3F000")
_LOCKED = ("55P03", "40P01")
_PASSING_CODES = ("08", "53300", "57P")
_PASSING = re.compile(NO_CONNECTION_LEFT + "|the database system is")
"""SQLSTATEs and messages of temporary problems; a server that refuses connections gives no SQLSTATE."""

_NOTHING_WRITTEN = "nothing of this step was written; run again when the server is back: what was written is reused"


class StateFault(NamedTuple):
    """Why the server failed, what to do, and the message of the server (`found`)."""

    cause: str
    remedy: str
    found: str = ""


COMMIT_LOST = StateFault(
    "the connection was lost at a commit, so it is not known whether the last change was kept",
    "run again when the server is back: what was kept is reused",
)


class _Remedy(NamedTuple):
    codes: tuple[str, ...]
    cause: str
    remedy: str


_REMEDIES = (
    _Remedy(_LOCKED, "another process is writing, and does not end", "wait for it to end, or end it; then run again"),
    _Remedy(("23505",), *RECORD_EXISTS),
    _Remedy(
        _ABSENT,
        "tables of the state are gone",
        "restore them from a backup, or remove the schema to start with an empty state (without history)",
    ),
    _Remedy(
        ("53100",),
        "the disk of the server is full",
        "free some space there, then run again: nothing of this step was written, and what was before is reused",
    ),
    _Remedy(("53200",), "the server has not enough memory", "give it more, then run again"),
    _Remedy(("53300",), "the server has no connection left", "end some, or raise its max_connections; then run again"),
    _Remedy(("2BP01",), "something else in the database uses its tables", "remove that first, or let the rows stay"),
    _Remedy(("25006",), "nothing can be written there", "use the url of the server that can be written to"),
    _Remedy(("57014",), "the server has cancelled the statement", "raise its statement_timeout, then run again"),
    _Remedy(("08", "57P"), "the connection was lost", _NOTHING_WRITTEN),
)


def explain_state_error(error: Exception, place: str) -> StateFault:
    """Return the cause and the remedy for an error of the server."""
    orig = getattr(error, "orig", error)
    code = getattr(orig, "sqlstate", None) or ""
    explained = explain_postgresql_error(str(orig), code, place)
    found = str(explained).removeprefix(f"{place}: ")
    if getattr(error, "connection_invalidated", False) and explained.code == "":
        return StateFault("the connection was lost", _NOTHING_WRITTEN, found)
    for one in _REMEDIES:
        if (code or explained.code).startswith(one.codes):
            return StateFault(one.cause, one.remedy, found.removeprefix(one.cause).removeprefix(": "))
    if code.startswith("42501"):
        return StateFault(found, "let the owner of the database GRANT it, or let them make the schema")
    return StateFault(found, "check the connection in the spec and the server, then run again")


def is_over_soon(error: BaseException, *, reached: bool) -> bool:
    """Return whether an error is temporary; a refused connection is, if the server was `reached` before."""
    if not isinstance(error, DBAPIError):
        return False
    code = getattr(error.orig, "sqlstate", None)
    if code is not None:
        return bool(code.startswith(_PASSING_CODES))
    return reached or bool(_PASSING.search(str(error.orig)))
