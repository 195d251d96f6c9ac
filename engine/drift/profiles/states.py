"""Accumulators, and their setups and states as facts and arrays that one process sends to another.

They are sent as JSON and numpy's .npy format: unpickling would execute code from the received bytes.
"""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.distributions.columns import Column

ROWS_HAVE_CHANGED = (
    "the data cannot be compared: the rows have changed between the passes that read them; store them first, and give "
    "the stored data"
)

_FACTS = "facts"


class State(NamedTuple):
    """Facts, ready for JSON, and arrays by name."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = {}


class PartAccumulator(Protocol):
    """Collects the values of one column in a part of the rows, block by block."""

    def add(self, block: pl.Series) -> None:
        """Add the next rows, normalized by `normalization`."""

    def state(self) -> State:
        """Return what was collected, after the last row."""

    def merge(self, state: State) -> None:
        """Add the state of an accumulator of other rows."""


class Accumulator(PartAccumulator, Protocol):
    """Collects the values of one column."""

    def finish(self, rows: int) -> "Column | Accumulator":
        """Return the column, which has `rows` rows; or an accumulator that must read all rows once more.

        Raises
        ------
        DataError
            The rows read again are others than those read before.
        """

    def setup(self) -> State:
        """Return the input of `create_part`, which creates an accumulator for a part of the rows."""


def pack_state(state: State) -> bytes:
    """Return a state as bytes."""
    file = BytesIO()
    facts = np.frombuffer(json.dumps(state.facts).encode(), np.uint8)
    np.savez(file, allow_pickle=False, **{_FACTS: facts, **{f"array {key}": a for key, a in state.arrays.items()}})
    return file.getvalue()


def unpack_state(packed: bytes) -> State:
    """Return the state packed by `pack_state`."""
    with np.load(BytesIO(packed), allow_pickle=False) as file:
        arrays = {key.removeprefix("array "): file[key] for key in file.files if key != _FACTS}
        return State(json.loads(file[_FACTS].tobytes()), arrays)


def narrow_counts(counts: NDArray[np.int64]) -> NDArray[Any]:
    """Return counts in the smallest unsigned type that holds them, since most are small."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
