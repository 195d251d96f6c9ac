"""Profiles: the distinct values of each column of a sample and their counts, from which every statistic is computed.

A column with up to a million distinct values is exact. Beyond that, statistics have bounds that hold with certainty
(see `numerical`). Comparing two profiles gives the same numbers as comparing the rows themselves, however the rows were
ordered or divided, and profiles can be merged. Where rows belong to entities, one row per entity (the one with the
smallest hash) is kept as well: p-values are computed from these rows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.columns import Column, Entities
from engine.drift.distributions.numerical import Numerical
from engine.drift.profiles import archive, profile_io
from engine.drift.reading.alignment import KnownColumn, describe_column
from engine.drift.reading.column_families import unite_known_types
from engine.drift.reading.normalization import Role
from engine.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """The profile of a sample: the number of `rows`, the `columns` by name, and the `entities` if one is declared.

    `types` are the types in which the columns were read (see `known_type`); profile files of earlier versions have
    none. `unmeasured` and `type_changes` are the findings of `align_columns` if the sample was converted to the types
    of a reference; they are not saved.
    """

    rows: int
    columns: Mapping[str, Column]
    entities: Entities | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    type_changes: Mapping[str, str] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, Role]:
        """The role of each column."""
        return {name: column.role for name, column in self.columns.items()}

    def describe_known_columns(self, types: Mapping[str, str] | None = None) -> dict[str, KnownColumn]:
        """Return what is known of each column, for the alignment of another sample with this one.

        Parameters
        ----------
        types
            The types of the columns, if another source than this profile knows them.
        """
        known = self.types if types is None else types
        return {name: _describe_known_column(column, known.get(name, "")) for name, column in self.columns.items()}

    def select(self, names: Collection[str]) -> "Profile":
        """Return the profile of these columns only."""
        columns = {name: column for name, column in self.columns.items() if name in names}
        return replace(self, columns=columns, types={name: kind for name, kind in self.types.items() if name in names})

    def round_columns(self, names: Collection[str]) -> "Profile":
        """Return the profile with these exact columns rounded to 32-bit floats, unless they were 32-bit floats."""
        rounded = {
            name: column.round_to_float32()
            for name, column in self.columns.items()
            if name in names and isinstance(column, Numerical) and self.types.get(name) != "float32"
        }
        types = dict.fromkeys(rounded, "float32")
        return replace(self, columns={**self.columns, **rounded}, types={**self.types, **types}) if rounded else self

    def without_entities(self) -> "Profile":
        """Return the profile of the same rows, treated as independent."""
        columns = {name: replace(column, entity_rows=None) for name, column in self.columns.items()}
        return replace(self, columns=columns, entities=None)

    def merge(self, other: "Profile") -> "Profile":
        """Return the profile of both samples together.

        Exact columns are those of all rows. Other columns have bounds, which stay narrow if both profiles were made
        against the same reference.

        Raises
        ------
        DataError
            The two profiles differ in their columns or roles, only one has an entity, or their entities were hashed by
            different versions.
        """
        if self.roles != other.roles:
            differing = sorted({name for name, _ in self.roles.items() ^ other.roles.items()})
            raise DataError(
                "only profiles of the same columns in the same roles can be merged; "
                f"these differ in {', '.join(map(repr, differing))}"
            )
        if (self.entities is None) != (other.entities is None):
            raise DataError(
                "a profile with an entity and one without cannot be merged; declare the same entity for both"
            )
        entities, keep = None, None
        if self.entities is not None and other.entities is not None:
            if self.entities.hashes != other.entities.hashes:
                raise DataError(
                    "a profile with an entity and one that an earlier engine has made cannot be merged, because they "
                    "do not recognize the same entities; make the earlier one again from its data"
                )
            keys = np.concatenate([self.entities.keys, other.entities.keys])
            rows = np.concatenate([self.entities.row_hashes, other.entities.row_hashes])
            # keep the row with the smallest hash per entity, the first of each key in this order; the first key is
            # compared with its complement, which differs from it
            order = np.lexsort((rows, keys))
            keep = order[np.diff(keys[order], prepend=~keys[order[:1]]) != 0]
            entities = Entities(self.entities.column, keys[keep], rows[keep], self.entities.hashes)
        columns = {name: column.merge(other.columns[name], keep) for name, column in self.columns.items()}
        return Profile(self.rows + other.rows, columns, entities, unite_known_types(self.types, other.types))

    def fingerprint(self) -> str:
        """Return the BLAKE2b hex digest of the profile's counts; it does not depend on the types of the values."""
        return archive.digest_content(*profile_io.to_arrays(self.rows, self.columns, self.entities, {}))

    def save(self, path: Path | str) -> None:
        """Write the profile to a file; an existing file is replaced atomically."""
        header, arrays = profile_io.to_arrays(self.rows, self.columns, self.entities, self.types)
        archive.write_archive(Path(path), header, arrays | profile_io.plan_arrays(self.columns))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file that `save` of this version or an earlier one wrote, and check that its content is consistent.

        Raises
        ------
        StoreError
            The file is missing, damaged, not a profile, or written by a newer engine.
        """
        return cls(*profile_io.read_profile(Path(path)))


def _describe_known_column(column: Column, kind: str) -> KnownColumn:
    """Return what is known of a column of type `kind`; if the type is unknown, as in old profiles, by its values.

    A column without any value may have any type: pandas stores it as floats, a CSV file as text.
    """
    if not column.present:
        return KnownColumn(column.role, "null")
    if isinstance(column, Categorical):
        return describe_column(column.role, kind, column.labels if len(column.counts) <= 2 else [])
    # only for a column whose values are all in its table is it known that there are no others
    few = column.intervals is None and column.table.size <= 2
    labels = [f"{value:g}" for value in column.values.tolist()] if few else []
    kind = kind or ("integer" if column.table.dtype == np.int64 else "number")
    return describe_column(column.role, kind, labels, exact=column.intervals is None)
