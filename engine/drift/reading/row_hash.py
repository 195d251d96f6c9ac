"""Hashes of column values and of rows, by which rows are drawn or held out.

polars' own hashes are stable only within one version of polars, so an upgrade would draw other samples.
`engine.drift.kernels.value_hashes` defines the hash of a value. Equal values of any types have equal hashes: 7 is 7.0
and True is 1, in 32 bits as in 64, if the type holds the same number (0.1 in 32 bits is not 0.1 in 64). A decimal that
is a whole number of 64 bits is hashed like the integer, others by their digits. Categoricals and enums are hashed as
text, text by its bytes. Dates and times are hashed by their number of days or ticks, so the same time in another unit
has another hash. Lists and arrays are hashed as the sequence of their items' hashes, structures as that of their
fields' hashes in order.

If you change a hash, raise `HASH_VERSION` in `engine.drift.reading.hash_version`, `KERNEL_VERSION` in `engine.drift`,
and `TRAINING_VERSION` in `engine.models.fingerprints`.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from engine.drift.kernels.value_hashes import (
    Hashes,
    hash_floats,
    hash_integers,
    hash_missing,
    hash_sequences,
    hash_texts,
    mix_bits,
    mix_sums,
)
from engine.drift.reading.blocks import BLOCK_ROWS
from engine.drift.reading.normalization import column_named
from engine.drift.reading.text_buffers import iterate_texts
from engine.errors import DataError


def hash_values(column: pl.Series, seed: int) -> Hashes:
    """Return the hash of each value of a column; hashes with different seeds are independent.

    Raises
    ------
    DataError
        The column holds Python objects, which have no hash of their content.
    """
    dtype = column.dtype
    if dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    elif dtype.is_temporal():
        column = column.to_physical()
    if dtype != pl.Null and not column.null_count():
        return _hash_present(column, seed)
    missing = column.is_null().to_numpy()
    hashes = np.full(len(column), hash_missing(seed))
    if not missing.all():
        hashes[~missing] = _hash_present(column.drop_nulls(), seed)
    return hashes


def hash_rows(frame: pl.DataFrame, seed: int = 0) -> Hashes:
    """Return the hash of each row of a frame, from its values in the order of the columns; names do not matter.

    It is the mixed sum, modulo 2**64, of the hashes of the values, with a different seed per column.
    """
    sums = np.zeros(len(frame), np.uint64)
    for start in range(0, len(frame), BLOCK_ROWS):
        block, part = frame.slice(start, BLOCK_ROWS), sums[start : start + BLOCK_ROWS]
        for position, column in enumerate(block):
            part += hash_values(column, _seed_of_column(seed, position))
        # Otherwise the sum of the hashes of all rows would not change if values of a column were exchanged.
        mix_sums(part)
    return sums


def row_content_hash(names: Sequence[str]) -> pl.Expr:
    """Return an expression for the hash of a row's values in the columns `names`; the order of `names` does not matter.

    It is evaluated batch by batch where a frame is read in batches.
    """
    return hash_columns(map(column_named, sorted(names)), 0)


def hash_columns(columns: Iterable[pl.Expr], seed: int) -> pl.Expr:
    """Return an expression for the hash of the values of one or more columns, whose order matters: see `hash_rows`."""
    return pl.struct(columns).map_batches(
        lambda rows: pl.Series(hash_rows(rows.struct.unnest(), seed)), return_dtype=pl.UInt64, is_elementwise=True
    )


def value_hash(value: pl.Expr, seed: int) -> pl.Expr:
    """Return an expression for the hash of a value: see `hash_values`."""
    return value.map_batches(
        lambda column: pl.Series(column.name, hash_values(column, seed)), return_dtype=pl.UInt64, is_elementwise=True
    )


def _seed_of_column(seed: int, position: int) -> int:
    with np.errstate(over="ignore"):
        return int(mix_bits(mix_bits(np.uint64(seed)) + np.uint64(position)))


def _hash_present(column: pl.Series, seed: int) -> Hashes:
    """Return the hashes of the values of a column without missing values."""
    dtype, word = column.dtype, np.uint64(seed)
    if dtype in (pl.String, pl.Binary):
        return _hash_bytes(column, seed)
    if dtype in (pl.Int128, pl.UInt128) or dtype.is_decimal():
        return _hash_wide_numbers(column, seed)
    if dtype in (pl.Int64, pl.UInt64):
        return hash_integers(column.to_numpy().view(np.uint64), dtype == pl.Int64, word)
    if dtype.is_numeric() or dtype == pl.Boolean:
        return hash_floats(column.cast(pl.Float64).to_numpy(), word)
    if isinstance(dtype, pl.Struct):
        fields = [hash_values(field, 0) for field in column.struct.unnest()]
        return hash_sequences(
            np.column_stack([np.empty((len(column), 0), np.uint64), *fields]).ravel(),
            np.full(len(column), len(fields)),
            word,
        )
    if isinstance(dtype, pl.Array):
        column = column.arr.to_list()
    if column.dtype == pl.List:
        items = column.list.explode(keep_nulls=False, empty_as_null=False)
        return hash_sequences(hash_values(items, 0), column.list.len().cast(pl.Int64).to_numpy(), word)
    raise DataError(f"column {column.name!r} holds {dtype}, which cannot be hashed: convert it to text or numbers")


def _hash_bytes(column: pl.Series, seed: int) -> Hashes:
    parts = [hash_texts(memory, starts, lengths, np.uint64(seed)) for memory, starts, lengths in iterate_texts(column)]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint64), *parts])


def _hash_wide_numbers(column: pl.Series, seed: int) -> Hashes:
    """Return the hashes of decimals or 128-bit integers: as 64-bit integers if they fit, else by their digits."""
    digits = column.cast(pl.String)
    if isinstance(column.dtype, pl.Decimal) and column.dtype.scale:
        digits = digits.str.strip_chars_end("0").str.strip_chars_end(".")
    hashes = hash_values(digits, seed)
    for narrow in (pl.UInt64, pl.Int64):
        numbers = digits.cast(narrow, strict=False)
        hashes[numbers.is_not_null().to_numpy()] = hash_values(numbers.drop_nulls(), seed)
    return hashes
