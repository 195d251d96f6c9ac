"""A project's datasets as polars frames: opened, verified, measured, and known by their content."""

from engine.data.contract import verify
from engine.data.datasets import Datasets, open_table
from engine.data.families import family
from engine.data.fingerprints import FileHashes, HashesInMemory, combine
from engine.data.functions import load_function
from engine.data.materialise import materialise
from engine.data.metrics import dataset_metrics, unmeasurable
from engine.data.table import Table, reading

__all__ = [
    "Datasets",
    "FileHashes",
    "HashesInMemory",
    "Table",
    "combine",
    "dataset_metrics",
    "family",
    "load_function",
    "materialise",
    "open_table",
    "reading",
    "unmeasurable",
    "verify",
]
