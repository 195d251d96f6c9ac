"""How long a changed file must stay as it is until it is taken for complete.

A program that writes a file gives no sign of its end that can be relied on: it may close the file twice, or write
through a memory map. So a change counts when nothing has changed for a while; sooner where the file itself proves that
it is complete.
"""

import math
from pathlib import Path
from typing import NamedTuple

from engine.discovery.complete_files import has_proven_end
from engine.discovery.file_endings import detect_format
from engine.file_identity import FileIdentity
from engine.service.sources.watched_sources import WatchedSource

QUIET_SECONDS = 0.3
"""For spec files and Python files, and for a single file of data that proves its end."""

SEVERAL_FILES_SECONDS = 5.0
"""For files that belong together, because the next one may only be about to come, and for models."""

UNPROVEN_SECONDS = 30.0
"""For files of data that cannot prove their end: CSV and NDJSON."""

MISSING_SECONDS = 2.0
"""At least for a file of data that does not exist any more: it may be about to be replaced."""

LONGEST_SPEC_SECONDS, LONGEST_DATA_SECONDS = 5.0, 600.0
"""What never stays as it is, or never becomes complete, counts after this time all the same."""


class Settling(NamedTuple):
    """How many seconds a file must stay as it is, and the longest that is waited for that."""

    quiet: float
    longest: float


NEVER = Settling(math.inf, math.inf)


def choose_settling(source: WatchedSource, path: Path, state: FileIdentity | None) -> Settling:
    """Return how long to wait for a file that has changed; `state` is None if it does not exist."""
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
