"""Hashes of polars values and rows: see `engine.drift.kernels.value_hashes` for the function.

Equal values have equal hashes whatever type of one kind holds them: integers of any width, floats of any width (with
-0.0 = 0.0, and one NaN), texts and categories. An integer and a float differ: who wants 7 and 7.0 to
be equal casts them first. A missing value has a hash of its own.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.kernels.sampling_keys import Hashes, mix_bits
from engine.drift.kernels.value_hashes import Mask, add_number_hashes, add_text_hashes

HASH_VERSION = "1"
"""Changes whenever a value gets another hash."""

ROWS_AT_ONCE = 100_000
"""Rows that are hashed together, so that the copies of their texts stay small."""


def hash_rows(columns: Sequence[pl.Series], seed: int = 0) -> Hashes:
    """Return the hash of each row: that of the sum, modulo 2**64, of the hashes of its values.

    Parameters
    ----------
    columns
        The values, in the order that decides their keys; at least one.
    seed
        Another seed gives independent hashes.
    """
    sums = np.zeros(len(columns[0]), np.uint64)
    for start in range(0, len(sums), ROWS_AT_ONCE):
        some = sums[start : start + ROWS_AT_ONCE]
        for place, column in enumerate(columns):
            # some methods of a series take its name for a pattern
            _add_hashes(column.slice(start, ROWS_AT_ONCE).alias(""), make_column_key(place, seed), some)
        some[:] = mix_bits(some)  # else the sum over all rows would be that of another pairing of the same values
    return sums


def hash_values(values: pl.Series, seed: int = 0) -> pl.Series:
    """Return the hash of each value, as UInt64."""
    return pl.Series(values.name, hash_rows([values], seed), pl.UInt64)


def hash_expression(value: pl.Expr, seed: int = 0) -> pl.Expr:
    """Return an expression for the hash of each value of another one."""
    return value.map_batches(lambda values: hash_values(values, seed), return_dtype=pl.UInt64, is_elementwise=True)


def hash_row_expression(values: Sequence[pl.Expr], seed: int = 0) -> pl.Expr:
    """Return an expression for the hash of the rows that some expressions make; their order decides their keys."""
    if not values:
        return pl.lit(0, pl.UInt64)
    named = pl.struct(value.alias(str(place)) for place, value in enumerate(values))
    return named.map_batches(
        lambda rows: pl.Series(rows.name, hash_rows(rows.struct.unnest().get_columns(), seed), pl.UInt64),
        return_dtype=pl.UInt64,
        is_elementwise=True,
    )


def make_column_key(place: int, seed: int) -> np.uint64:
    """Return the key of a column; those of other columns and other seeds have no relation to it."""
    state = (seed * 0xBF58476D1CE4E5B9 + (place + 1) * 0x9E3779B97F4A7C15) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # the finalizer of splitmix64
        state = (state ^ (state >> shift)) * factor % 2**64
    return np.uint64(state ^ (state >> 31))


def _add_hashes(values: pl.Series, key: np.uint64, sums: Hashes) -> None:
    """Add the hashes of a column's values to the sums of their rows."""
    dtype = values.dtype
    missing = values.is_null().to_numpy() if values.null_count() else np.empty(0, np.bool_)
    if dtype.is_float():
        add_number_hashes(_read_float_bits(values), missing, key, sums)
    elif dtype == pl.Boolean or (dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)):
        add_number_hashes(_read_integer_bits(values), missing, key, sums)
    elif dtype.is_temporal():
        add_number_hashes(_read_integer_bits(values.to_physical()), missing, key, sums)
    else:
        _add_texts(_as_texts(values), missing, key, sums)


def _read_float_bits(values: pl.Series) -> Hashes:
    numbers = values.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0  # turns -0.0 into 0.0
    bits = numbers.view(np.uint64)
    bits[np.isnan(numbers)] = np.uint64(0x7FF8000000000000)
    return bits


def _read_integer_bits(values: pl.Series) -> Hashes:
    wide = values.cast(pl.UInt64 if values.dtype == pl.UInt64 else pl.Int64).fill_null(0)
    return np.ascontiguousarray(wide.to_numpy()).view(np.uint64)


def _as_texts(values: pl.Series) -> pl.Series:
    """Return values that are not numbers or times as texts: bytes in hexadecimal digits, nested values as JSON."""
    dtype = values.dtype
    if dtype == pl.Binary:
        return values.bin.encode("hex")
    if not dtype.is_nested():
        return values.cast(pl.String)
    return pl.Series(values.name, [None if value is None else repr(value) for value in values.to_list()], pl.String)


def _add_texts(values: pl.Series, missing: Mask, key: np.uint64, sums: Hashes) -> None:
    lengths: NDArray[np.uint32] = values.str.len_bytes().fill_null(0).to_numpy()
    joined = values.str.join("").cast(pl.Binary).item() if len(values) else b""
    add_text_hashes(np.frombuffer(joined or b"", np.uint8), np.ascontiguousarray(lengths), missing, key, sums)
