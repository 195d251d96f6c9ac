"""The time for which a changed file must stay unchanged until it counts as complete.

There is no reliable sign that a program has finished writing a file: it may close the file twice, or write through a
memory map. So a change counts when the file has not changed for a while, or sooner if its content proves that it is
complete.
"""

import math
from pathlib import Path
from typing import NamedTuple

from engine.discovery.complete_files import has_proven_end
from engine.discovery.file_endings import detect_format
from engine.file_identity import FileIdentity
from engine.service.sources.watched_sources import WatchedSource

QUIET_SECONDS = 0.3
"""Quiet time for spec files and Python files, and for a single data file whose content proves that it is complete."""

SEVERAL_FILES_SECONDS = 5.0
"""Quiet time for files that belong together, because another one may still follow, and for models."""

UNPROVEN_SECONDS = 30.0
"""Quiet time for data files that cannot prove that they are complete: CSV and NDJSON."""

MISSING_SECONDS = 2.0
"""Least quiet time for a data file that does not exist any more, because it may be about to be replaced."""

LONGEST_SPEC_SECONDS, LONGEST_DATA_SECONDS = 5.0, 600.0
"""A file that keeps changing or stays incomplete counts after this time in any case."""


class Settling(NamedTuple):
    """The seconds for which a file must stay unchanged, and the longest wait for that."""

    quiet: float
    longest: float


NEVER = Settling(math.inf, math.inf)


def choose_settling(source: WatchedSource, path: Path, state: FileIdentity | None) -> Settling:
    """Return the waiting times for a changed file; `state` is None if it does not exist."""
    if source.part != "data":
        return Settling(QUIET_SECONDS, LONGEST_SPEC_SECONDS)
    if state is None:
        return Settling(max(MISSING_SECONDS, source.settle or 0.0), LONGEST_DATA_SECONDS)
    proven = True if source.whole else _find_proof(path)
    if proven is False:
        return Settling(math.inf, LONGEST_DATA_SECONDS)
    if source.settle is not None:
        return Settling(source.settle, LONGEST_DATA_SECONDS)
    if proven and not source.several:
        return Settling(QUIET_SECONDS, LONGEST_DATA_SECONDS)
    shows_end = proven or detect_format(path.name) in ("parquet", "arrow")
    return Settling(SEVERAL_FILES_SECONDS if shows_end else UNPROVEN_SECONDS, LONGEST_DATA_SECONDS)


def _find_proof(path: Path) -> bool | None:
    try:
        return has_proven_end(path)
    except OSError:
        return None
