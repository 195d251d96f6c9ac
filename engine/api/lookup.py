"""The error for an unknown name or id: a suggestion, or the names that exist."""

from collections.abc import Callable, Sequence

from engine.errors import UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_some
from engine.store import shorten_id


def unknown_name(what: str, name: str, known: Sequence[str]) -> UsageError:
    """Return the error for an unknown name, with the most similar name or else the first known names as help."""
    # in Python, `name` may be anything
    return UsageError(f"there is no {what} {name!r}{suggest_name(str(name), list(dict.fromkeys(known)))}")


def choose_id(what: str, wanted: str, matching: Sequence[str], list_known: Callable[[], Sequence[str]]) -> str:
    """Return the only id that `wanted` can mean, of those that the store has found for it.

    `list_known` gives the names to suggest where there is none; it is not called otherwise.

    Raises
    ------
    UsageError
        The id is unknown, or several begin like that.
    """
    if len(matching) == 1:
        return matching[0]
    if matching:
        shown = join_some(shorten_id(id_) for id_ in matching)
        raise UsageError(f"the ids of several {what}s begin with {wanted!r}: {shown}; write more of the id")
    raise unknown_name(what, wanted, list_known())


def check_last(last: int | None) -> int | None:
    """Return `last`, the number of newest rows that a caller wants; raises UsageError if it is no such number."""
    if last is not None and (not isinstance(last, int) or last < 0):
        raise UsageError(f"last = {last!r} is not possible: it is the number of the newest rows to return, or None")
    return last
