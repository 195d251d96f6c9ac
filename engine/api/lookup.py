"""Looks things up by id, and makes the error for an unknown name: a suggestion, or the names that exist."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from engine.errors import UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_some

T = TypeVar("T")

FEWEST_CHARACTERS = 4
"""Characters of an id below which its beginning is not looked up: chance alone would find one."""


def unknown_name(what: str, name: str, known: Sequence[str]) -> UsageError:
    """Return the error for an unknown name, with the most similar name or else the first known names as help."""
    # in Python, `name` may be anything
    return UsageError(f"there is no {what} {name!r}{suggest_name(str(name), list(dict.fromkeys(known)))}")


def find_by_id(what: str, wanted: str, known: Mapping[str, T]) -> T:
    """Return the value with this id; its last part (`7f3a9c1b`), or the beginning of that, is enough.

    Raises
    ------
    UsageError
        The id is unknown, or several begin like that.
    """
    for id_, value in known.items():
        if wanted in (id_, id_.rpartition("-")[2]):
            return value
    begin = str(wanted)
    similar = [id_ for id_ in known if len(begin) >= FEWEST_CHARACTERS and id_.rpartition("-")[2].startswith(begin)]
    if len(similar) == 1:
        return known[similar[0]]
    if similar:
        shown = join_some(id_.rpartition("-")[2] for id_ in similar)
        raise UsageError(f"the ids of several {what}s begin with {wanted!r}: {shown}; write more of the id")
    raise unknown_name(what, wanted, [id_.rpartition("-")[2] for id_ in known][::-1])  # ids are known oldest first


def check_last(last: int | None) -> int | None:
    """Return `last`, the number of newest rows that a caller wants; raises UsageError if it is no such number."""
    if last is not None and (not isinstance(last, int) or last < 0):
        raise UsageError(f"last = {last!r} is not possible: it is the number of the newest rows to return, or None")
    return last
