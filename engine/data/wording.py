"""What polars raises, in words for the owner of the data: it speaks to programmers and names no dataset."""

import re
from collections.abc import Sequence

import polars as pl

from engine.spec.problem import suggest

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What polars raises where the data are at fault. A panic is a BaseException, and corrupt files can cause one."""


def words(error: BaseException) -> str:
    """Return what polars says without what it says to programmers; a column not found gets its likely name."""
    said = str(error).split("\n\n", 1)[0].strip() or type(error).__name__
    if found := re.match(r'unable to find column "(?P<name>.*?)"; valid columns: \[(?P<valid>.*)\]', said):
        known = re.findall(r'"(.*?)"', found["valid"])
        return f"there is no column {found['name']!r}{meant(found['name'], known)}"
    return said


def meant(name: str, known: Sequence[str]) -> str:
    """Return the help for a name that is not known: the nearest, else some of those that are."""
    if near := suggest(name, known):
        return f"; did you mean {near!r}?"
    some = ", ".join(repr(one) for one in known[:10])
    return f"; there are {some}{' and others' if len(known) > 10 else ''}" if known else ""
