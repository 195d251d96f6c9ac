"""A sample, boiled down to what every statistic needs and no more: each column's values and their counts.

Nothing is sketched: up to a million distinct values a column is exact, and beyond every figure has certain bounds. Two
profiles give the numbers that the rows would give, in any order and split, and profiles add up. Where rows belong to
entities, one row of each (the one whose hash is smallest) is kept besides: what p-values rest on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl

from engine.drift import archive, stored
from engine.drift.canonical import as_categories, categories, named, plan
from engine.drift.collecting import MOST_VALUES, Categories, Distinct, Reader, read
from engine.drift.columns import Chosen, Column, Entities, Numerical
from engine.drift.roles import Role
from engine.drift.roles import roles as found_roles
from engine.drift.sampling import content
from engine.drift.sources import readable, scan
from engine.errors import DataError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What a sample holds: how many `rows`, `columns` by name, and the `entities`, where they are declared."""

    rows: int
    columns: Mapping[str, Column]
    entities: Entities | None = None

    @property
    def independent(self) -> int:
        """Rows that are independent evidence: one per entity."""
        return self.rows if self.entities is None else len(self.entities.keys)

    @property
    def roles(self) -> dict[str, Role]:
        """The roles of the columns."""
        return {name: column.role for name, column in self.columns.items()}

    def merge(self, other: "Profile") -> "Profile":
        """Return the profile of both samples together: as if made of all rows where columns are exact.

        Where they are not, figures have the bounds that both allow. Profiles made against one reference add up.

        Raises
        ------
        DataError
            The two do not describe the same columns.
        """
        if self.roles != other.roles:
            raise DataError("only profiles of the same columns in the same roles can be united")
        if (self.entities is None) != (other.entities is None):
            raise DataError("a profile by entity and one without cannot be united")
        entities, keep = None, None
        if self.entities is not None and other.entities is not None:
            keys = np.concatenate([self.entities.keys, other.entities.keys])
            rows = np.concatenate([self.entities.rows, other.entities.rows])
            order = np.lexsort((rows, keys))
            keep = order[np.diff(keys[order], prepend=~keys[order[:1]]) != 0]
            entities = Entities(self.entities.column, keys[keep], rows[keep])
        columns = {name: column.merge(other.columns[name], keep) for name, column in self.columns.items()}
        return Profile(self.rows + other.rows, columns, entities)

    def fingerprint(self) -> str:
        """Return the BLAKE2b hex digest of the content."""
        return archive.digest(*stored.parts(self.rows, self.columns, self.entities))

    def save(self, path: Path | str) -> None:
        """Write the profile to one file."""
        archive.write(Path(path), *stored.parts(self.rows, self.columns, self.entities))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file that `save` wrote, of this version or an earlier one, and check that it holds together.

        Raises
        ------
        StoreError
            The file is missing, damaged, no profile, or newer than this engine.
        """
        return cls(*stored.restored(Path(path)))


def profile(
    data: Any,
    roles: Mapping[str, Role | str] | None = None,
    *,
    entity: str | None = None,
    against: Profile | None = None,
    most_values: int = MOST_VALUES,
) -> Profile:
    """Return the profile of the columns in `roles`, in one pass; in two where a column is not exact.

    Parameters
    ----------
    data
        A polars frame, lazy or not, the path of a Parquet, CSV or Arrow file, Arrow data, or a pandas frame. Rows come
        in blocks: memory is bounded by the columns, not by the rows.
    roles
        Numerical or categorical, by column. Left out, those of `against`, else what `roles` finds.
    entity
        The column that says which rows belong together: one row of each is chosen by the hash of the columns' content;
        rows without an entity are one entity together. Memory grows with the number of entities.
    against
        The reference that the sample will be compared with. A column of too many values to be exact is then counted
        on the reference's ladder, and known exactly wherever the comparison needs it.
    most_values
        Distinct values up to which a column is exact.

    Raises
    ------
    DataError
        A column is not there, or cannot be read in its role; or the data cannot be read.
    """
    rows, entities, columns = _read(
        scan(data), roles, entity, against, lambda _, column: column, keep=True, exact=True, most_values=most_values
    )
    return Profile(rows, columns, entities)


def columns_for(reference: Profile, data: Any, finish: Callable[[str, Column], T], *, exact: bool) -> dict[str, T]:
    """Return what `finish` makes of each column of the data, which is as exact as the reference beside it, no more.

    If it need not be `exact`, the data is read once.

    Raises
    ------
    DataError
        A column of the reference is not there, or cannot be read in its role; or nobody knows what the entity is.
    """
    entity = None if reference.entities is None else reference.entities.column
    if entity == "":
        raise DataError("the reference is too old to say which column its entity is; profile the batch with entity=")
    return _read(scan(data), None, entity, reference, finish, keep=False, exact=exact, most_values=MOST_VALUES)[2]


@readable()
def _read(
    frame: pl.LazyFrame,
    roles: Mapping[str, Role | str] | None,
    entity: str | None,
    against: Profile | None,
    finish: Callable[[str, Column], T],
    *,
    keep: bool,
    exact: bool,
    most_values: int,
) -> tuple[int, Entities | None, dict[str, T]]:
    if roles is None:
        roles = against.roles if against else found_roles(frame, entity=entity)[0]
    taking = {name: _compared(name, role) for name, role in roles.items()}
    if entity is not None and entity not in frame.collect_schema():
        raise DataError(f"the data lacks the entity, {entity!r}")
    reading = plan(frame, taking)
    schema = frame.select(reading.values()).collect_schema()
    its: dict[str, Numerical] = {}
    for name, column in against.columns.items() if against else ():
        if isinstance(column, Numerical) and taking.get(name) is Role.NUMERICAL:
            whole = schema[name] == pl.Int64 and column.values.dtype == np.int64
            alike = column if whole else column.as_floats()
            if len(alike.values):
                its[name] = alike
                reading[name] = reading[name] if whole else reading[name].cast(pl.Float64)

    def first(name: str) -> Reader:
        if taking[name] is Role.CATEGORICAL:
            return Categories()
        whole = schema[name] == pl.Int64 and (name not in its or its[name].values.dtype == np.int64)
        return Distinct(whole, its.get(name), most_values, keep=keep, exact=exact)

    if entity is None:
        rows, finished = read(frame, reading, first, finish)
        return rows, None, finished
    one = _one_row_per_entity(frame, reading, entity)
    entities = Entities(entity, one["entity"].to_numpy().copy(), one["row"].to_numpy().copy())
    rows, finished = read(
        frame, reading, first, lambda name, column: finish(name, _with_chosen(column, one[f"value {name}"]))
    )
    return rows, entities, finished


def _compared(name: str, role: str) -> Role:
    if role not in (Role.NUMERICAL, Role.CATEGORICAL):
        raise DataError(f"column {name!r} cannot be compared as {role!s}: its role must be numerical or categorical")
    return Role(role)


def _one_row_per_entity(frame: pl.LazyFrame, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
    """Return, for each entity, the row whose hash is smallest, as entity, row, value <column>…, by entity key."""
    dtype = frame.collect_schema()[entity]
    if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
        raise DataError(f"the entity, {entity!r}, holds {dtype}, which names nothing")
    values = {name: f"value {name}" for name in reading}
    read = frame.select(named(entity).alias("entity"), *(read.alias(values[name]) for name, read in reading.items()))
    schema = read.collect_schema()
    # what is chosen depends on no type: numbers are hashed as floats, categories as text
    alike = {
        value: pl.col(value).cast(pl.Float64) if schema[value].is_numeric() else as_categories(value, schema[value])
        for value in values.values()
    }
    floats = read.with_columns(expr.alias(f"alike {value}") for value, expr in alike.items())
    key = as_categories("entity", dtype).hash(1)  # 7 and 7.0 are one
    row = pl.sum_horizontal(
        content(floats.collect_schema(), [f"alike {value}" for value in alike]),
        *(_beyond_floats(value) for value in alike if schema[value] == pl.Int64),
        key,  # else rows of the same content were chosen of all entities that have one
    )
    keyed = floats.select(key, row.hash(2).alias("row"), *alike)
    smallest = keyed.group_by("entity").agg(pl.col("row").min())
    # rows of one entity with equal hashes have equal content: any of them is the same row
    one = keyed.join(smallest, on=["entity", "row"], how="semi").unique("entity", keep="any")
    return one.collect(engine="streaming").sort("entity")


def _beyond_floats(name: str) -> pl.Expr:
    """Return what a float does not hold of a whole number, scattered over 64 bits; 0 of most."""
    whole = pl.col(name)
    rest = whole - whole.cast(pl.Float64).cast(pl.Int64, strict=False)
    return rest.fill_null(whole).reinterpret(signed=False) * pl.lit(0xBF58476D1CE4E5B9, pl.UInt64)


def _with_chosen(column: Column, one: pl.Series) -> Column:
    if isinstance(column, Numerical):
        values, to = np.unique(one.drop_nulls().to_numpy(), return_inverse=True)
        at = np.full(len(one), -1, np.int32)
        at[one.is_not_null().to_numpy()] = to
        return replace(column, chosen=Chosen(values, at))
    place = {label: i for i, label in enumerate(column.labels)}
    at = np.array([-1 if label is None else place[label] for label in categories(one)], np.int32)
    return replace(column, chosen=at)
