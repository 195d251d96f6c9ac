"""Reads the logs of runs as tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from engine.api.result_table import ResultTable

LOG_COLUMNS: dict[str, type] = {"at": datetime, **dict.fromkeys(("level", "scenario", "step", "text"), str)}


def _read_log(path: Path, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of a log, and at its end a warning if some are damaged; nothing if the log does not exist."""
    damaged = 0
    last: dict[str, Any] = {"at": datetime.fromtimestamp(0, UTC), "scenario": "", "step": ""}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        yield {**last, "level": "warning", "text": f"{path} cannot be read: {error.strerror}"}
        return
    for line in text.splitlines():
        try:
            entry: dict[str, Any] = {field: str(json.loads(line)[field]) for field in fields}
            entry["at"] = datetime.fromisoformat(entry["at"])
            if entry["at"].tzinfo is None:
                raise ValueError("a time without a zone")
            entry["at"] = entry["at"].astimezone(UTC)
        except (ValueError, KeyError, TypeError, OverflowError):
            damaged += 1
            continue
        last = entry
        yield entry
    if damaged:
        yield {**last, "level": "warning", "text": f"{path}: {damaged} damaged entries are left out"}


def tabulate_log(paths: Sequence[Path]) -> ResultTable:
    """Return one row per entry of several logs, in order of time."""
    return tabulate_entries([line for path in paths for line in _read_log(path, list(LOG_COLUMNS))])


def tabulate_entries(entries: Sequence[Mapping[str, Any]]) -> ResultTable:
    """Return one row per entry of a log, in order of time."""
    return ResultTable(LOG_COLUMNS, sorted(entries, key=itemgetter("at")))
