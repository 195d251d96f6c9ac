"""Datasets of a project as lazy polars frames: opened, verified against contracts, measured, fingerprinted."""

from engine.data.contract import verify
from engine.data.datasets import Datasets
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
    "reading",
    "unmeasurable",
    "verify",
]
