"""Messages of polars' errors for the owner of the data, without the parts that are for programmers."""

import re
from collections.abc import Sequence

import polars as pl

from engine.spec.problem import find_similar_word

READ_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""Exceptions that faulty data cause. polars' panic is a BaseException; corrupt files can cause one."""


def describe_error(error: BaseException) -> str:
    """Return the message of an error without polars' query plan; an unknown column gets a suggestion.

    polars puts the message first and the plan after a blank line.
    """
    text = str(error).split("\n\n", 1)[0].strip() or type(error).__name__
    if found := re.match(r'unable to find column "(?P<name>.*?)"; valid columns: \[(?P<valid>.*)\]', text):
        columns = re.findall(r'"(.*?)"', found["valid"])
        return f"there is no column {found['name']!r}{format_suggestion(found['name'], columns)}"
    return text


def format_suggestion(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: the nearest of the known ones, else up to ten of them."""
    if near := find_similar_word(name, known):
        return f"; did you mean {near!r}?"
    shown = ", ".join(repr(one) for one in known[:10])
    return f"; there are {shown}{' and others' if len(known) > 10 else ''}" if known else ""
