"""A sample, boiled down to what every statistic needs and no more: each column's distinct values and their counts.

Nothing is binned or sketched, so two profiles give exactly the numbers that the rows would give, in any order and
split, and profiles add up exactly. Where rows belong to entities, one row of each (the one whose hash is smallest) is
kept as positions in the distinct values: what p-values rest on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift import archive
from engine.drift.canonical import categories, ordered
from engine.drift.kernels.counting import Counts, Values, align, runs
from engine.drift.roles import Role
from engine.drift.sampling import content
from engine.errors import DataError, StoreError


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column: sorted distinct `values` (float64, int64 or text), their `counts`, and how many are `missing`.

    `chosen` holds, for each entity, the position in `values` of its one row's value, -1 where it is missing.
    """

    role: Role
    values: Values | list[str]
    counts: Counts
    missing: int
    chosen: NDArray[np.int32] | None = None

    @property
    def numbers(self) -> Values:
        """The values of a numerical column."""
        return cast(Values, self.values)

    @property
    def labels(self) -> list[str]:
        """The values of a categorical column."""
        return cast(list[str], self.values)

    def one_per_entity(self) -> "Column":
        """Return the column of one row per entity; itself where no entity is declared."""
        if self.chosen is None:
            return self
        present = self.chosen[self.chosen >= 0]
        counts = np.bincount(present, minlength=len(self.counts)).astype(np.int64)
        return Column(self.role, self.values, counts, len(self.chosen) - len(present))


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What a sample holds: `rows`, and `columns` by name. With an entity: the keys of the entities and their rows."""

    rows: int
    columns: Mapping[str, Column]
    entity_keys: NDArray[np.uint64] | None = None
    row_keys: NDArray[np.uint64] | None = None

    @property
    def entities(self) -> int | None:
        """How many entities there are; None where none is declared."""
        return None if self.entity_keys is None else len(self.entity_keys)

    def merge(self, other: "Profile") -> "Profile":
        """Return the profile of both samples together, exactly as if it had been made of all rows.

        Raises
        ------
        DataError
            The two do not describe the same columns.
        """
        if {n: c.role for n, c in self.columns.items()} != {n: c.role for n, c in other.columns.items()}:
            raise DataError("only profiles of the same columns in the same roles can be united")
        if self.entity_keys is None or self.row_keys is None or other.entity_keys is None or other.row_keys is None:
            if self.entity_keys is not other.entity_keys:
                raise DataError("a profile by entity and one without cannot be united")
            columns = {n: _united(c, other.columns[n], None) for n, c in self.columns.items()}
            return Profile(self.rows + other.rows, columns)
        entities = np.concatenate([self.entity_keys, other.entity_keys])
        rows = np.concatenate([self.row_keys, other.row_keys])
        order = np.lexsort((rows, entities))
        keep = order[np.diff(entities[order], prepend=~entities[order[:1]]) != 0]
        columns = {n: _united(c, other.columns[n], keep) for n, c in self.columns.items()}
        return Profile(self.rows + other.rows, columns, entities[keep], rows[keep])

    def fingerprint(self) -> str:
        """Return the BLAKE2b hex digest of the content."""
        digest = blake2b(digest_size=32)
        header, arrays = self._parts()
        digest.update(repr(header).encode())
        for name, array in arrays:
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the profile to one file."""
        header, arrays = self._parts()
        archive.write(path, header, dict(arrays))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote, and check that it holds together.

        Raises
        ------
        StoreError
            The file is missing, damaged, no profile, or newer than this engine.
        """
        header, arrays = archive.read(path)
        try:
            columns = {
                name: _column(Role(role), missing, arrays, f"{i}")
                for i, (name, role, missing) in enumerate(header["columns"])
            }
            loaded = cls(header["rows"], columns, arrays.get("entities"), arrays.get("rows"))
            loaded._verify()
        except (KeyError, ValueError, TypeError, pl.exceptions.PolarsError) as problem:
            raise StoreError(f"{path}: damaged profile ({problem}); build the reference again") from problem
        return loaded

    def _parts(self) -> tuple[dict[str, Any], list[tuple[str, NDArray[Any]]]]:
        header = {"rows": self.rows, "columns": [[n, str(c.role), c.missing] for n, c in self.columns.items()]}
        return header, list(self._arrays())

    def _arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        if self.entity_keys is not None and self.row_keys is not None:
            yield "entities", self.entity_keys
            yield "rows", self.row_keys
        for i, column in enumerate(self.columns.values()):
            if isinstance(column.values, list):
                encoded = [text.encode() for text in column.values]
                yield f"{i}.text", np.frombuffer(b"".join(encoded), np.uint8)
                yield f"{i}.lengths", np.array([len(text) for text in encoded], np.int64)
            else:
                yield f"{i}.values", column.values
            yield f"{i}.counts", column.counts
            if column.chosen is not None:
                yield f"{i}.chosen", column.chosen

    def _verify(self) -> None:
        entities = self.entities
        if entities is not None and (self.row_keys is None or len(self.row_keys) != entities):
            raise ValueError("entities and their rows differ in number")
        for name, c in self.columns.items():
            values = np.array(c.values, object) if isinstance(c.values, list) else c.values
            if len(values) != len(c.counts) or (c.counts < 1).any() or c.counts.sum() + c.missing != self.rows:
                raise ValueError(f"the counts of column {name!r} do not add up")
            if not (values[1:] > values[:-1]).all():
                raise ValueError(f"the values of column {name!r} are not in order")
            if (c.chosen is None) != (entities is None):
                raise ValueError(f"column {name!r} lacks its entities")
            if c.chosen is not None and not (
                len(c.chosen) == entities and ((c.chosen >= -1) & (c.chosen < len(values))).all()
            ):
                raise ValueError(f"the entities of column {name!r} do not fit")


def profile(
    frame: pl.LazyFrame | pl.DataFrame,
    roles: Mapping[str, Role],
    *,
    entity: str | None = None,
    values_a_pass: int = 1 << 25,
) -> Profile:
    """Return the profile of the columns in `roles`.

    With an `entity`, one row of each is chosen by the hash of the columns' content; rows without an entity are one
    entity together. The frame is read in several passes where rows times columns exceed `values_a_pass`, so that
    memory is bounded by it or by one column, whichever is more; the profile is the same.

    Raises
    ------
    DataError
        A column is not there, or cannot be read in its role.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    if absent := [name for name in [*roles, *([entity] if entity else [])] if name not in schema]:
        raise DataError(f"the data lacks {', '.join(map(repr, absent))}; it has {', '.join(map(repr, schema))}")
    rows: int = lazy.select(pl.len()).collect(engine="streaming").item()
    chosen = _one_row_per_entity(lazy, schema, list(roles), entity) if entity else None
    columns: dict[str, Column] = {}
    width = max(1, values_a_pass // max(rows, 1))
    names = list(roles)
    for start in range(0, len(names), width):
        part = lazy.select(names[start : start + width]).collect(engine="streaming")
        for name in part.columns:
            one = None if chosen is None else chosen[f"value {name}"].alias(name)
            columns[name] = _counted(part[name], roles[name], one)
    if chosen is None:
        return Profile(rows, columns)
    return Profile(rows, columns, chosen["entity"].to_numpy().copy(), chosen["row"].to_numpy().copy())


def _one_row_per_entity(frame: pl.LazyFrame, schema: pl.Schema, names: Sequence[str], entity: str) -> pl.DataFrame:
    """Return, for each entity, the row whose hash is smallest, as entity, row, value <column>…, by entity key."""
    keyed = frame.select(
        pl.col(entity).cast(pl.String).hash(1).alias("entity"),
        content(schema, names).alias("row"),
        *(pl.col(name).alias(f"value {name}") for name in names),
    )
    smallest = keyed.group_by("entity").agg(pl.col("row").min())
    # rows of one entity with equal hashes have equal content: any of them is the same row
    one = keyed.join(smallest, on=["entity", "row"], how="semi").unique("entity", keep="any")
    return one.collect(engine="streaming").sort("entity")


def _counted(column: pl.Series, role: Role, one: pl.Series | None) -> Column:
    if role is Role.NUMERICAL:
        present = ordered(column).drop_nulls().to_numpy().copy()
        present.sort()
        values, counts = runs(present)
        return Column(
            role, values, counts, len(column) - len(present), None if one is None else _positions(values, one)
        )
    tally = column.alias("value").value_counts()
    often: dict[str, int] = {}
    for text, count in zip(categories(tally["value"].alias(column.name)), tally["count"], strict=True):
        if text is not None:
            often[text] = often.get(text, 0) + count
    labels = sorted(often)
    counts = np.array([often[text] for text in labels], np.int64)
    chosen = None if one is None else _places(labels, categories(one))
    return Column(role, labels, counts, len(column) - int(counts.sum()), chosen)


def _positions(values: Values, one: pl.Series) -> NDArray[np.int32]:
    wanted = ordered(one)
    chosen = np.full(len(one), -1, np.int32)
    present = wanted.drop_nulls().to_numpy().astype(values.dtype)
    chosen[wanted.is_not_null().to_numpy()] = np.searchsorted(values, present)
    return chosen


def _places(labels: list[str], wanted: Iterable[str | None]) -> NDArray[np.int32]:
    place = {text: i for i, text in enumerate(labels)}
    return np.array([-1 if text is None else place[text] for text in wanted], np.int32)


def _column(role: Role, missing: int, arrays: Mapping[str, NDArray[Any]], key: str) -> Column:
    values: Values | list[str]
    if role is Role.CATEGORICAL:
        ends = np.cumsum(arrays[f"{key}.lengths"])
        text = arrays[f"{key}.text"].tobytes()
        starts = ends - arrays[f"{key}.lengths"]
        values = [text[i:j].decode() for i, j in zip(starts, ends, strict=True)]
    else:
        values = arrays[f"{key}.values"]
    return Column(role, values, arrays[f"{key}.counts"], int(missing), arrays.get(f"{key}.chosen"))


def _united(a: Column, b: Column, keep: NDArray[np.intp] | None) -> Column:
    values, counts_a, counts_b = side_by_side(a, b)
    chosen = None
    if keep is not None and a.chosen is not None and b.chosen is not None:
        moved = np.concatenate([_moved(a, values), _moved(b, values)])
        chosen = moved[keep]
    return Column(a.role, values, counts_a + counts_b, a.missing + b.missing, chosen)


def _moved(column: Column, values: Values | list[str]) -> NDArray[np.int32]:
    """Return the positions of the chosen values in the wider table `values`."""
    if isinstance(values, list):
        to = _places(values, column.labels)
    else:
        to = np.searchsorted(values, column.numbers).astype(np.int32)
    return np.append(to, np.int32(-1))[column.chosen]


def side_by_side(a: Column, b: Column) -> tuple[Values | list[str], Counts, Counts]:
    """Return the union of the values of two columns of one role, and the counts of each."""
    if a.role is Role.CATEGORICAL:
        if a.values == b.values:
            return a.values, a.counts, b.counts
        labels = list(dict.fromkeys(sorted(a.labels + b.labels)))
        counts = np.zeros((2, len(labels)), np.int64)
        for row, column in zip(counts, (a, b), strict=True):
            row[_places(labels, column.labels)] = column.counts
        return labels, counts[0], counts[1]
    x, y = a.numbers, b.numbers
    if x.dtype == y.dtype:
        return align(x, a.counts, y, b.counts)
    return align(*_as_floats(x, a.counts), *_as_floats(y, b.counts))


def _as_floats(values: Values, counts: Counts) -> tuple[Values, Counts]:
    """Whole numbers beyond 2**53 may become equal as floats: their counts add up."""
    floats, starts = np.unique(values.astype(np.float64), return_index=True)
    return floats, np.add.reduceat(counts, starts) if len(starts) else counts
