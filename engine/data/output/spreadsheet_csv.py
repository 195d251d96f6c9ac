"""CSV that a spreadsheet may open: texts that it would run as formulas are escaped, see `formulas.py`."""

import polars as pl

from engine.formatting.formulas import FORMULA, NUMBER


def disarm_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose texts and column names are not formulas for a spreadsheet."""
    made: dict[str, pl.Series] = {}
    names = _disarm_texts(pl.Series(frame.columns, dtype=pl.String))
    for name, column in zip(names, frame.get_columns(), strict=True):
        is_text = column.dtype in (pl.String, pl.Categorical, pl.Enum)
        while name in made:  # another column already has this name with the apostrophe
            name = f"'{name}"  # noqa: PLW2901  its new name
        made[name] = _disarm_texts(column.cast(pl.String)) if is_text else column
    return pl.DataFrame(made)


def _disarm_texts(texts: pl.Series) -> pl.Series:
    armed = pl.col("text").str.contains(FORMULA) & ~pl.col("text").str.contains(NUMBER)
    disarmed = pl.when(armed).then("'" + pl.col("text")).otherwise("text")
    return pl.DataFrame({"text": texts}).select(disarmed.alias("text"))["text"]
