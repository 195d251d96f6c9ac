"""The values of one row per entity in a numerical column."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.drift.kernels.value_tables import Values

Positions = NDArray[np.int32]
"""Per entity, the position of its row's value in a table (see `EntityRows`); -1 where the value is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class EntityRows:
    """The values of one row per entity.

    Where rows belong to entities, p-values are computed from one row per entity: the row with the smallest content hash
    (see `Entities`). `values` are the distinct values of these rows, ascending; `positions` point to the value per
    entity.
    """

    values: Values
    positions: Positions


def convert_entity_rows(entity_rows: EntityRows, dtype: DTypeLike) -> EntityRows:
    """Return the values of the entities' rows as float64, after rounding them to the float type `dtype`."""
    rounded = entity_rows.values.astype(dtype).astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    values, new_positions = np.unique(rounded, return_inverse=True)
    # position -1 (missing) selects the appended last element, so it stays -1
    return EntityRows(values, np.append(new_positions, -1).astype(np.int32)[entity_rows.positions])


def merge_entity_rows(a: EntityRows, b: EntityRows, keep: NDArray[np.intp]) -> EntityRows:
    """Return the merged rows of the entities at the positions `keep` among those of a followed by those of b."""
    values = np.union1d(a.values, b.values)
    # position -1 (missing) selects the appended last element, so it stays -1
    positions = [np.append(np.searchsorted(values, side.values), -1)[side.positions] for side in (a, b)]
    # keep only the values that are still used; if some are missing, -1 is the first used position
    used, new_positions = np.unique(np.concatenate(positions)[keep], return_inverse=True)
    missing = used < 0
    return EntityRows(values[used[~missing]], (new_positions - missing.sum()).astype(np.int32))
