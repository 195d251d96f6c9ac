"""Samples drawn by a hash of what a row holds, never by where it stands: a database may return rows in any order.

Equal rows are told apart by their occurrence (first, second, …), which among equals is the same set in any order.
Hashes are polars' own: stable for one version of polars.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

MOST_VALUES = 10_000_000
"""Values (rows times columns) of a sample, whatever the number of rows asked for: 80 MB of floats."""


def most_rows(columns: int, rows: int) -> int:
    """Return how many of the `rows` asked for a sample of as many columns has at most."""
    return min(rows, max(1, MOST_VALUES // max(1, columns)))


def content(schema: pl.Schema, names: Sequence[str]) -> pl.Expr:
    """Return the hash of a row's values in the columns `names`, in whatever order they are given."""
    if not names:
        return pl.lit(0, pl.UInt64)
    # an enum's hash would depend on its list of values
    return pl.struct(
        pl.col(name).cast(pl.String) if isinstance(schema[name], pl.Enum) else pl.col(name) for name in sorted(names)
    ).hash(0)


def row_keys(frame: pl.DataFrame, names: Sequence[str], seed: int) -> Keys:
    """Return one pseudo-random key a row, from its content, its occurrence and the seed."""
    hashes = frame.select(content(frame.schema, names)).to_series().to_numpy()
    order = np.argsort(hashes, kind="stable")
    first = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]]))
    occurrences = np.empty(len(order), np.uint64)
    occurrences[order] = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return mixed(hashes, occurrences, seed)


def mixed(keys: Keys, occurrences: Keys, seed: int) -> Keys:
    """Mix hash, occurrence and seed into one key (the finalizer of splitmix64, twice)."""
    return _finalized(_finalized(keys + np.uint64(seed % 2**64)) + occurrences)


def _finalized(z: Keys) -> Keys:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sample(
    frame: pl.LazyFrame, columns: Sequence[str], rows: int, *, entity: str | None = None, seed: int = 0
) -> pl.DataFrame:
    """Return `columns` (and the entity) of at most `rows` rows, drawn without replacement by hash.

    Two streaming passes: one counts distinct contents, one fetches those drawn; memory grows with the number of
    distinct rows (16 bytes each) and with the sample, not with the frame.
    """
    names = list(dict.fromkeys([*columns, *([entity] if entity else [])]))
    keyed = frame.select(*names, content(frame.collect_schema(), names).alias("\0row"))
    distinct = keyed.group_by("\0row").len().collect(engine="streaming").sort("\0row")
    hashes, times = distinct["\0row"].to_numpy(), distinct["len"].to_numpy().astype(np.int64)
    starts = np.cumsum(times) - times
    total = int(times.sum())
    if total > rows:
        occurrences = (np.arange(total) - np.repeat(starts, times)).astype(np.uint64)
        keys = mixed(np.repeat(hashes, times), occurrences, seed)
        drawn = keys <= np.partition(keys, rows - 1)[rows - 1]
        times = np.add.reduceat(drawn, starts, dtype=np.int64)
    wanted = pl.DataFrame({"\0row": hashes, "\0times": times}).filter(pl.col("\0times") > 0)
    found = keyed.join(wanted.lazy(), on="\0row", how="inner").unique("\0row", keep="any")
    once = found.collect(engine="streaming").sort("\0row")
    return once.select(names)[np.repeat(np.arange(len(once)), once["\0times"].to_numpy())]
