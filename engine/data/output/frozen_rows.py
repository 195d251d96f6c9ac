"""Write the rows of a table to a Parquet file that has the same bytes for the same rows in any order.

The bytes depend on the version of polars, which is recorded in the file.
"""

from pathlib import Path

import polars as pl

from engine.data.fingerprints import check_hashable
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.table import Table, explain_read_errors
from engine.drift.reading.row_hash import hash_rows
from engine.errors import DataError

ROWS_PER_GROUP = 1 << 17
_KEYS = ("\x00first", "\x00second")
"""Columns with two hashes of each row, which decide the order where the sortable columns do not."""


def freeze_rows(table: Table, path: Path) -> int:
    """Write the rows of a table to a Parquet file, sorted by their columns, and return their number.

    Raises
    ------
    DataError
        The table cannot be read, or the type of a column does not exist in Parquet.
    """
    with explain_read_errors(table):
        check_hashable(table.frame.collect_schema())
        rows = table.frame.collect(engine="streaming")
    keys = {key: pl.Series(hash_rows(rows, seed)) for seed, key in enumerate(_KEYS)}
    plain = [name for name, dtype in rows.schema.items() if not dtype.is_nested()]
    ordered = rows.with_columns(**keys).sort(*plain, *_KEYS, nulls_last=True).drop(_KEYS)
    try:
        ordered.write_parquet(path, row_group_size=ROWS_PER_GROUP)
    except READ_ERRORS as error:
        raise DataError(f"dataset {table.name!r} cannot be kept as Parquet: {describe_error(error)}") from error
    return ordered.height
