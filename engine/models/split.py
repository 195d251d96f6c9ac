"""The held-out part: which rows a model is not trained on.

Rows are drawn by a seeded hash of their content, by entity where there is one, never by position: a database may
return them in any order, and two rows of one card on both sides would teach the model the card.
"""

import polars as pl

from engine.errors import ModelError
from engine.models.classes import canonical


def split(
    frame: pl.DataFrame, *, target: str, entity: str | None, share: float, seed: int, where: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide the rows into a training and a held-out part.

    The same rows give the same parts, each in the same order, whatever order they come in. Equal rows are told apart
    by counting them. A label does not decide where its row goes. Rows without entity stand for themselves.

    Parameters
    ----------
    share
        Share of the entities (of the rows, without one) that are held out, rounded, at least one.

    Returns
    -------
    training, held out

    Raises
    ------
    ModelError
        There is nothing to divide: fewer than two rows or entities.
    """
    content = [c for c in frame.columns if c != target]
    ordered = frame.with_columns(
        pl.struct(content).hash(0).alias("__row"), canonical(frame[target]).alias("__label")
    ).sort("__row", "__label", nulls_last=True)
    row = pl.struct("__row", pl.int_range(pl.len()).over("__row")).hash(seed)
    if entity is not None:
        ordered = ordered.with_columns(canonical(ordered[entity]).alias("__entity"))
        row = pl.when(pl.col("__entity").is_null()).then(row).otherwise(pl.col("__entity").hash(seed))
    ordered = ordered.with_columns(row.alias("__unit"))
    units = ordered["__unit"].unique().sort()
    if units.len() < 2:
        what = f'values of the entity "{entity}"' if entity else "rows"
        raise ModelError(f"{where}: at least 2 {what} are needed to hold a part out, found {units.len()}")
    held = min(max(1, round(share * units.len())), units.len() - 1)
    is_held = pl.col("__unit") <= units[held - 1]
    return ordered.filter(~is_held).select(frame.columns), ordered.filter(is_held).select(frame.columns)
