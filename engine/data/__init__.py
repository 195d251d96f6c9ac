"""Datasets of a project as lazy polars frames: opened, verified against contracts, measured, fingerprinted.

The names are imported at first use: a run that finds its data unchanged computes nothing.
"""

from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily

if TYPE_CHECKING:
    from engine.data.column_types import column_type
    from engine.data.contract import verify_contract
    from engine.data.datasets import Datasets
    from engine.data.files.hashes import FileHashes, InMemoryFileHashes
    from engine.data.files.watched_files import WatchedFiles, read_unchanged
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
    from engine.data.user_code.functions import load_function

_LAZY_EXPORTS = {
    "Datasets": "datasets",
    "FileHashes": "files.hashes",
    "InMemoryFileHashes": "files.hashes",
    "RowCounts": "repeated_rows",
    "Table": "table",
    "WatchedFiles": "files.watched_files",
    "column_type": "column_types",
    "compute_dataset_metrics": "metrics",
    "count_rows": "repeated_rows",
    "explain_read_errors": "table",
    "find_incomparable_columns": "repeated_rows",
    "find_unmeasurable_metrics": "metrics",
    "hash_table_rows": "repeated_rows",
    "list_shared_columns": "repeated_rows",
    "load_function": "user_code.functions",
    "measure_repeated_share": "repeated_rows",
    "read_unchanged": "files.watched_files",
    "require_unchanged_rows": "spark.reading",
    "verify_contract": "contract",
}
__getattr__, __dir__ = export_lazily(__name__, _LAZY_EXPORTS)

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
    "measure_repeated_share",
    "read_unchanged",
    "require_unchanged_rows",
    "verify_contract",
]
