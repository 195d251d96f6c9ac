"""Messages of polars' errors for the owner of the data, without the parts for programmers."""

import re

import polars as pl

from engine.formatting.hints import suggest_name

READ_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""Exceptions caused by faulty data. polars' panic is a BaseException; corrupt files can cause one."""


def describe_error(error: BaseException) -> str:
    """Return the message of an error without polars' query plan; an unknown column gets a suggestion.

    polars puts the message first and the plan after a blank line.
    """
    text = str(error).split("\n\n", 1)[0].strip() or type(error).__name__
    if found := re.match(r'unable to find column "(?P<name>.*?)"; valid columns: \[(?P<valid>.*)\]', text):
        columns = re.findall(r'"(.*?)"', found["valid"])
        return f"there is no column {found['name']!r}{suggest_name(found['name'], columns)}"
    if found := re.match(r"cannot compare string with (numeric|\w+) type", text):
        return f"a text is compared with a {'number' if found[1] == 'numeric' else found[1]}"
    if found := re.match(
        r"conversion from `(\w+)` to `(\w+)[^`]*` failed in column '(.*)' for (\d+) out of (\d+) values(.*)",
        text,
        re.DOTALL,
    ):
        before, after, column, failed, rows, examples = found.groups()
        if before[0] + after[0] in ("ui", "iu", "uu", "ii"):
            source, target = (f"{'UInt' if one[0] == 'u' else 'Int'}{one[1:]}" for one in (before, after))
        else:
            source, target = _name_type(before), _name_type(after)
        return f"{failed} of {rows} values of column {column!r} cannot be converted from {source} to {target}{examples}"
    return text


def _name_type(name: str) -> str:
    """Return the spec's word for a type that polars' messages call str, i64 or f64."""
    if re.fullmatch(r"[iu]\d+", name):
        return "integer"
    return {"str": "text", "f32": "number", "f64": "number", "bool": "boolean"}.get(name, name)
