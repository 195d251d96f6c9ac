"""Column types of the spec language (`type: number`), and the polars types used for files without types."""

import polars as pl

from engine.drift.reading.column_families import FAMILY_DTYPES, column_type

__all__ = ["POLARS_DTYPES", "column_type"]

POLARS_DTYPES: dict[str, pl.DataType] = {name: dtype for name, dtype in FAMILY_DTYPES.items() if name != "duration"}
"""The polars type as which a column type is read if the file format has no types, as in CSV.

`duration` is missing, because polars parses no text as a duration.
"""
