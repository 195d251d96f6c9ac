"""Split off the held-out rows, on which a model is not trained.

Rows are drawn by a seeded hash of their content, never by position, since a database may return them in any order. With
an entity, all rows of one entity are drawn together: a model that has seen other rows of a card would recognize the
card, and its performance on held-out rows would look too good.
"""

import numpy as np
import polars as pl

from engine.drift.kernels.sampling_keys import make_keys
from engine.drift.reading.row_hash import hash_rows, hash_values, row_content_hash
from engine.errors import ModelError
from engine.models.classes import class_labels


def split_held_out(
    frame: pl.DataFrame, *, target: str, entity: str | None, share: float, seed: int, where: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide the rows of a frame into a training part and a held-out part.

    The same rows give the same parts, each in the same order, whatever the order of the input. Equal rows are numbered,
    so that each is drawn separately. The target does not influence which part a row goes to, except among rows that
    differ only in the target. A row without an entity is drawn separately.

    Parameters
    ----------
    share
        Share of the entities that are held out, or of the rows if no entity is declared; rounded, at least one and
        never all.

    Returns
    -------
    training, held out

    Raises
    ------
    ModelError
        There are fewer than two rows or entities.
    """
    ordered = _order_by_content(frame, target)
    # The number by which a row is drawn: a seeded hash of its content and of its number among equal rows.
    numbers = ordered.select(pl.int_range(pl.len(), dtype=pl.UInt64).over("__row")).to_series().to_numpy()
    drawn_by = make_keys(ordered["__row"].to_numpy(), numbers, np.uint64(seed % 2**64))
    if entity is not None:  # all rows of an entity share the hash of the entity
        entities = class_labels(ordered[entity])
        drawn_by = np.where(entities.is_null().to_numpy(), drawn_by, hash_values(entities, seed))
    ordered = ordered.with_columns(pl.Series("__unit", drawn_by))
    # The numbers of the drawn units: entities, or single rows.
    units = ordered["__unit"].unique().sort()
    if units.len() < 2:
        counted = f'values of the entity "{entity}"' if entity else "rows"
        found = f"there {'is' if units.len() == 1 else 'are'} {units.len()}"
        raise ModelError(f"{where}: at least 2 {counted} are needed, because some are kept for the test; {found}")
    # Hold out the units with the smallest numbers.
    held = min(max(1, round(share * units.len())), units.len() - 1)
    is_held = pl.col("__unit") <= units[held - 1]
    return ordered.filter(~is_held).select(frame.columns), ordered.filter(is_held).select(frame.columns)


def split_off_rows(frame: pl.DataFrame, kept: pl.DataFrame, *, target: str) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Divide the rows of a frame into all others and those of `kept`, which has some of its columns.

    Rows that are equal in these columns are interchangeable; as many of them are split off as `kept` has.

    Returns
    -------
    others, rows
        The others in the order of `split_held_out`, the rows in the order of `kept`. None if a row or a column of
        `kept` is not in the frame.
    """
    names = kept.columns
    if not set(names) <= set(frame.columns) or kept.schema != frame.select(names).schema:
        return None
    key = ["__key", "__number"]
    keyed = [
        part.with_columns(pl.Series("__key", hash_rows(part.select(names)))).with_columns(
            pl.int_range(pl.len()).over("__key").alias("__number")
        )
        for part in (_order_by_content(frame, target), kept)
    ]
    rows, wanted = keyed[0], keyed[1].select(key)
    found = wanted.join(rows, on=key, how="inner", maintain_order="left")
    if found.height != kept.height:
        return None
    others = rows.join(wanted, on=key, how="anti", maintain_order="left")
    return others.select(frame.columns), found.select(frame.columns)


def _order_by_content(frame: pl.DataFrame, target: str) -> pl.DataFrame:
    """Return the rows in an order that depends on content alone; the label only orders rows that are otherwise equal.

    The columns `__row`, the hash of all columns but the target, and `__label` are added.
    """
    content = [c for c in frame.columns if c != target]
    return frame.with_columns(
        row_content_hash(content).alias("__row"), class_labels(frame[target]).alias("__label")
    ).sort("__row", "__label", nulls_last=True)
