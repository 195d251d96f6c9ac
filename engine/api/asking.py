"""Finding what somebody asks for by name, and saying what there is where nothing has it."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from engine.errors import UsageError
from engine.spec.problem import did_you_mean

SHOWN = 10
"""Names listed where none is near."""

T = TypeVar("T")


def no_such(what: str, name: str, known: Sequence[str]) -> UsageError:
    """Return the error of a name that nothing has: what was likely meant, or else the newest names."""
    names = list(dict.fromkeys(known))
    help_ = did_you_mean(name, names, "there are")
    if not help_.startswith("did you mean"):
        help_ = did_you_mean(name, names[-SHOWN:], "there are" if len(names) <= SHOWN else "the newest are")
    return UsageError(f"there is no {what} {name!r}; {help_}")


def by_id(what: str, wanted: str, known: Mapping[str, T]) -> T:
    """Return what has this id; its last part (`7f3a9c1b`) is enough.

    Raises
    ------
    UsageError
        Nothing has it.
    """
    for id_, found in known.items():
        if wanted in (id_, id_.rpartition("-")[2]):
            return found
    raise no_such(what, wanted, list(known))
