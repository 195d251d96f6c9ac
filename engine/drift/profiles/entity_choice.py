"""Choose one row per entity: the one with the smallest hash.

The choice does not depend on the order of the rows. Choosing among the rows chosen in parts of the data gives the same
as choosing among all rows.
"""

from collections.abc import Mapping

import polars as pl

from engine.drift.reading.column_families import holds_values
from engine.drift.reading.normalization import as_categories
from engine.drift.reading.row_hash import hash_columns, value_hash
from engine.errors import DataError


def require_entity(schema: Mapping[str, pl.DataType], entity: str | None) -> None:
    """Raise a DataError if an entity is declared that is not a column."""
    if entity is not None and entity not in schema:
        raise DataError(f"the data lacks the column {entity!r}, which is the entity")


def choose_entity_rows(frame: pl.LazyFrame, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
    """Return, per entity, the row with the smallest hash.

    Returns
    -------
    frame
        Columns `entity` (the hash of the entity's value as text, ascending), `row` (the row's hash) and
        `value <column>` per column.
    """
    dtype = frame.collect_schema()[entity]
    if not holds_values(dtype):
        raise DataError(f"the entity, column {entity!r}, holds {dtype}; an entity must be text, a number or a date")
    values = {name: f"value {name}" for name in sorted(reading)}
    read = frame.select(
        as_categories(entity, dtype).alias("entity"),  # as text, so 7 and 7.0 are the same entity
        *(reading[name].alias(value) for name, value in values.items()),
    )
    schema = read.collect_schema()
    # The choice must not depend on column types: categories are hashed as text, and equal numbers of any type have the
    # same hash. Nor must it depend on content alone: equal rows of different entities would have equal hashes, and
    # nearly every entity with a row of low hash would choose that row.
    comparable = [
        pl.col(value) if schema[value].is_numeric() else as_categories(value, schema[value])
        for value in values.values()
    ]
    row = hash_columns([pl.col("entity"), *comparable], seed=2)
    return choose_lowest(read.select(value_hash(pl.col("entity"), seed=1), row.alias("row"), *values.values()))


def choose_lowest(keyed: pl.LazyFrame) -> pl.DataFrame:
    """Return, per `entity`, the row with the smallest hash `row`, ascending by entity."""
    smallest = keyed.group_by("entity").agg(pl.col("row").min())
    # rows of one entity with equal hashes have equal content, so any of them will do
    chosen = keyed.join(smallest, on=["entity", "row"], how="semi").unique("entity", keep="any")
    return chosen.collect(engine="streaming").sort("entity")
