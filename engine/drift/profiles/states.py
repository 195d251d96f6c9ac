"""Accumulators, and what one is made of or has collected as facts and arrays, which a process sends to another.

Pickle would execute code from what it is sent; this is JSON and the .npy format of numpy.
"""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.distributions.columns import Column

_FACTS = "facts"


class State(NamedTuple):
    """Facts, ready for JSON, and arrays by name."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = {}


class PartAccumulator(Protocol):
    """Collects the values of one column in a part of the rows, block by block."""

    def add(self, block: pl.Series) -> None:
        """Add the next rows, as `normalization` gives them."""

    def state(self) -> State:
        """Return what was collected, after the last rows."""

    def merge(self, state: State) -> None:
        """Add what an accumulator of other rows has collected."""


class Accumulator(PartAccumulator, Protocol):
    """Collects the values of one column."""

    def finish(self, rows: int) -> "Column | Accumulator":
        """Return the column, which has `rows` rows; or an accumulator that must be given all rows once more."""

    def setup(self) -> State:
        """Return what `create_part` needs to make an accumulator for a part of the rows."""


def pack_state(state: State) -> bytes:
    """Return a state as bytes."""
    file = BytesIO()
    facts = np.frombuffer(json.dumps(state.facts).encode(), np.uint8)
    np.savez(file, allow_pickle=False, **{_FACTS: facts, **{f"array {key}": a for key, a in state.arrays.items()}})
    return file.getvalue()


def unpack_state(packed: bytes) -> State:
    """Return the state that `pack_state` has packed."""
    with np.load(BytesIO(packed), allow_pickle=False) as file:
        arrays = {key.removeprefix("array "): file[key] for key in file.files if key != _FACTS}
        return State(json.loads(file[_FACTS].tobytes()), arrays)


def narrow_counts(counts: NDArray[np.int64]) -> NDArray[Any]:
    """Return counts in the smallest unsigned type that holds them: most of them are small."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
