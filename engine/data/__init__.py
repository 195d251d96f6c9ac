"""Datasets of a project as lazy polars frames: opened, verified against contracts, measured, fingerprinted."""

from engine.data.column_types import column_type
from engine.data.contract import verify_contract
from engine.data.datasets import Datasets
from engine.data.fingerprints import FileHashes, InMemoryFileHashes
from engine.data.materialise import materialise
from engine.data.metrics import compute_dataset_metrics, find_unmeasurable_metrics
from engine.data.repeated_rows import (
    RowCounts,
    count_rows,
    find_incomparable_columns,
    hash_table_rows,
    list_shared_columns,
    measure_repeated_share,
)
from engine.data.spark.reading import require_unchanged_rows
from engine.data.table import Table, explain_read_errors
from engine.data.user_functions import load_function
from engine.data.watched_files import WatchedFiles, read_unchanged

__all__ = [
    "Datasets",
    "FileHashes",
    "InMemoryFileHashes",
    "RowCounts",
    "Table",
    "WatchedFiles",
    "column_type",
    "compute_dataset_metrics",
    "count_rows",
    "explain_read_errors",
    "find_incomparable_columns",
    "find_unmeasurable_metrics",
    "hash_table_rows",
    "list_shared_columns",
    "load_function",
    "materialise",
    "measure_repeated_share",
    "read_unchanged",
    "require_unchanged_rows",
    "verify_contract",
]
