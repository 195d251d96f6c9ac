"""The profiles of columns, and of the entities that their rows belong to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.numerical import Numerical

Column = Numerical | Categorical


@dataclass(frozen=True, slots=True, eq=False)
class Entities:
    """The entities of a sample, ascending by `keys`, the hashes of their names.

    One row represents its entity in p-values, because the rows of an entity are not independent: the row with the
    smallest content hash, which is in `row_hashes`. `column` is the name of the entity's column, and
    `hashes` the version of the hashes (see `engine.drift.reading.row_hash`), "" if a version of polars made them.
    """

    column: str
    keys: NDArray[np.uint64]
    row_hashes: NDArray[np.uint64]
    hashes: str
