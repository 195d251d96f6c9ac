"""Looks things up by id, and makes the error for an unknown name: a suggestion, or the names that exist."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from engine.errors import UsageError
from engine.formatting.hints import suggest_name

T = TypeVar("T")


def unknown_name(what: str, name: str, known: Sequence[str]) -> UsageError:
    """Return the error for an unknown name, with the most similar name or else the first known names as help."""
    return UsageError(f"there is no {what} {name!r}{suggest_name(name, list(dict.fromkeys(known)))}")


def find_by_id(what: str, wanted: str, known: Mapping[str, T]) -> T:
    """Return the value with this id; the last part of the id (`7f3a9c1b`) is enough.

    Raises
    ------
    UsageError
        The id is unknown.
    """
    for id_, value in known.items():
        if wanted in (id_, id_.rpartition("-")[2]):
            return value
    raise unknown_name(what, wanted, [id_.rpartition("-")[2] for id_ in known][::-1])  # ids are known oldest first
