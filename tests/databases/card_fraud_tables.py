"""The tables of the project of the README, with fewer cards, as files and in PostgreSQL."""

import importlib.util
import re
from pathlib import Path

import polars as pl

from .postgres_server import Database

SPECS = Path(__file__).parents[2] / "specs"
TABLES = ("transactions", "merchants", "cardholders")
TYPES = {pl.Int64: "bigint", pl.Float64: "double precision", pl.String: "text", pl.Date: "date"}


def make_tables() -> dict[str, pl.DataFrame]:
    """Return every fifteenth card with all its transactions, and all merchants."""
    spec = importlib.util.spec_from_file_location("card_fraud_data", SPECS / "card_fraud_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    frames = {name: getattr(module, name)() for name in TABLES}
    return {name: one.filter(pl.col("card_id") % 15 == 0) if "card_id" in one else one for name, one in frames.items()}


def write_project_text() -> str:
    """Return the spec of the project without what makes the rows of the example."""
    text = (SPECS / "card_fraud.yaml").read_text()
    for name in TABLES:
        text = re.sub(rf"  {name}_made:.*\n(?:    \{{.*\n)?", "", text)
    return text


def load_tables(tables: dict[str, pl.DataFrame], database: Database) -> None:
    for name, frame in tables.items():
        columns = ", ".join(f"{column} {TYPES[type(dtype)]}" for column, dtype in frame.schema.items())
        database.load(name, columns, frame.write_csv())
