"""CSV that a spreadsheet may open: text that it would run as a formula is made plain text.

Names of categories and columns come from data that anybody may have written. A spreadsheet takes a cell that begins
with =, +, -, @, a tab or a line break for a formula, which may send the sheet away or start a program (OWASP, "CSV
Injection"). As advised there, an apostrophe is put before it. Numbers stay as they are, also those that are text.
"""

import re

import polars as pl

_FORMULA = r"^\s*[=+\-@" + "\uff1d\uff0b\uff0d\uff20" + r"\t\r\n]"
_NUMBER = r"^\s*[+-]?[0-9.,]*[0-9][0-9.,]*([eE][+-]?[0-9]+)?\s?%?\s*$"


def disarm_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose texts and column names are no formulas for a spreadsheet."""
    made: dict[str, pl.Series] = {}
    names = _disarm_texts(pl.Series(frame.columns, dtype=pl.String))
    for name, column in zip(names, frame.get_columns(), strict=True):
        is_text = column.dtype in (pl.String, pl.Categorical, pl.Enum)
        while name in made:  # another column has this name already, with the apostrophe
            name = f"'{name}"  # noqa: PLW2901
        made[name] = _disarm_texts(column.cast(pl.String)) if is_text else column
    return pl.DataFrame(made)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take a text for a formula."""
    return bool(re.search(_FORMULA, text)) and not re.search(_NUMBER, text)


def _disarm_texts(texts: pl.Series) -> pl.Series:
    armed = pl.col("text").str.contains(_FORMULA) & ~pl.col("text").str.contains(_NUMBER)
    disarmed = pl.when(armed).then("'" + pl.col("text")).otherwise("text")
    return pl.DataFrame({"text": texts}).select(disarmed.alias("text"))["text"]
