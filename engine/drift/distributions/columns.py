"""The profile of a column, of either role, and the entities of a sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.numerical import Numerical

Column = Numerical | Categorical


@dataclass(frozen=True, slots=True, eq=False)
class Entities:
    """The entities of a sample, in ascending order of `keys`, the hashes of their names.

    The rows of an entity are not independent, so one row represents it in p-values: the row with the smallest content
    hash, which is kept in `row_hashes`. `column` is the name of the entity column, and `hashes` the version of the hash
    function (see `engine.drift.reading.row_hash`), "" for hashes of polars.
    """

    column: str
    keys: NDArray[np.uint64]
    row_hashes: NDArray[np.uint64]
    hashes: str
