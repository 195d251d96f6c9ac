"""Column types as a spec names them (`type: number`), and the polars types that files without types are read as."""

import polars as pl

from engine.drift.reading.column_families import FAMILY_DTYPES, column_type

__all__ = ["POLARS_DTYPES", "column_type"]

POLARS_DTYPES: dict[str, pl.DataType] = {name: dtype for name, dtype in FAMILY_DTYPES.items() if name != "duration"}
"""The polars type that a column type is read as where the file format has no types, as in CSV.

`duration` is missing: polars parses no text as a duration.
"""
