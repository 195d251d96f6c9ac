"""Draw the rows with the lowest keys, given the hashes of all rows: the part that samples of any source share."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from engine.drift.kernels.value_hashes import Hashes
from engine.drift.reading.normalization import column_named

MAX_SAMPLE_VALUES = 10_000_000
"""Maximum number of values (rows times columns) of a sample: 80 MB of floats."""

HASH_COLUMN = "\0row"
"""The name of the column of row hashes."""


def limit_rows(columns: int, rows: int) -> int:
    """Return the number of rows of a sample: `rows`, or fewer where `columns` columns would make too many values."""
    return min(rows, max(1, MAX_SAMPLE_VALUES // max(1, columns)))


def repeat_drawn_rows(rows: pl.DataFrame, drawn: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return the drawn ones of `rows` (which have the column `HASH_COLUMN`), each as often as it was drawn."""
    places = rows.select(HASH_COLUMN, place=pl.int_range(pl.len())).unique(HASH_COLUMN, keep="first")
    places = places.join(drawn, on=HASH_COLUMN, how="inner").sort(HASH_COLUMN)
    return rows.select(map(column_named, names))[np.repeat(places["place"].to_numpy(), places["times"].to_numpy())]


def draw_lowest(rows: int, total: int, find_below: Callable[[np.uint64], tuple[Hashes, Hashes]]) -> pl.DataFrame:
    """Return the hashes with the `rows` lowest keys, and how many `times` each hash is among them.

    Only keys below a bound are computed, so memory does not grow with the number of rows.

    Parameters
    ----------
    total
        The number of all rows.
    find_below
        Returns the keys of all rows up to a bound, and the row hash of each.
    """
    # keys are uniform, so the number of keys below the bound is binomial with mean share * total. This mean is six
    # standard deviations above `rows`, so there are fewer keys only in one case of a billion: then the share is
    # doubled.
    share = (rows + 6 * rows**0.5 + 20) / max(total, 1)
    while True:
        all_keys, key_hashes = find_below(np.uint64(min(int(share * 2**64), 2**64 - 1)))
        if len(all_keys) >= min(rows, total):
            break
        share *= 2
    if len(all_keys) > rows:
        key_hashes = key_hashes[np.argpartition(all_keys, rows)[:rows]]
    hashes, times = np.unique(key_hashes, return_counts=True)
    return pl.DataFrame({HASH_COLUMN: hashes, "times": times})
