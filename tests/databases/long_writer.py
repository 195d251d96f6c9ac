"""Writes a table that takes seconds, so that the process can be killed meanwhile: KIND PLACE FOLDER STARTED.

PLACE is the URL of a PostgreSQL database or the path of a DuckDB file; STARTED is made once the database is open.
"""

import sys
from pathlib import Path

import polars as pl

from engine.connections.duckdb import open_duckdb
from engine.connections.postgresql import open_postgresql
from engine.data.databases.writing import write_table
from engine.data.table import Table

LONG = pl.select(n=pl.int_range(10_000_000)).lazy().with_columns(t=pl.lit("a text of some length"))

if __name__ == "__main__":
    kind, place, folder, started = sys.argv[1:]
    with open_duckdb(Path(place)) if kind == "duckdb" else open_postgresql(place) as session:
        Path(started).touch()
        write_table(session, "kept", Table("made", LONG, "", rereadable=True), "test", Path(folder))
