"""Messages of polars' errors for the owner of the data, without the parts that are for programmers."""

import re

import polars as pl

from engine.formatting.hints import suggest_name

READ_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""Exceptions that faulty data cause. polars' panic is a BaseException; corrupt files can cause one."""


def describe_error(error: BaseException) -> str:
    """Return the message of an error without polars' query plan; an unknown column gets a suggestion.

    polars puts the message first and the plan after a blank line.
    """
    text = str(error).split("\n\n", 1)[0].strip() or type(error).__name__
    if found := re.match(r'unable to find column "(?P<name>.*?)"; valid columns: \[(?P<valid>.*)\]', text):
        columns = re.findall(r'"(.*?)"', found["valid"])
        return f"there is no column {found['name']!r}{suggest_name(found['name'], columns)}"
    return text
