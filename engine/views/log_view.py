"""View of a run's log: its newest lines, read from the end of the file, whatever its size."""

import json
from dataclasses import dataclass
from pathlib import Path

from engine.formatting.control_characters import remove_controls

LONGEST_TEXT = 4000
"""Maximum number of shown characters of an entry."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry of a log. `start` is its position in the file, in bytes."""

    start: int
    at: str
    level: str
    step: str
    text: str


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a log: its lines, oldest first, the byte where they start, and the byte after them."""

    lines: tuple[LogLine, ...]
    start: int
    end: int


def read_log_tail(folder: Path, end: int | None = None, size: int = 65_536) -> LogPart:
    """Return the last whole lines of a run's log before a byte, by default before its end; at most `size` bytes."""
    return _read_part(folder, end, size, from_end=True)


def read_log_after(folder: Path, start: int, size: int = 65_536) -> LogPart:
    """Return the whole lines of a run's log from a byte on; at most `size` bytes, but always one line."""
    return _read_part(folder, start, size, from_end=False)


def _read_part(folder: Path, place: int | None, size: int, *, from_end: bool) -> LogPart:
    try:
        with (folder / "log.jsonl").open("rb") as file:
            whole = file.seek(0, 2)
            end = whole if place is None else min(place, whole)
            start = max(0, end - size) if from_end else end
            file.seek(start)
            raw = file.read((end - start) if from_end else size)
    except OSError:
        return LogPart((), place or 0, place or 0)
    if from_end and start > 0:
        first = raw.find(b"\n") + 1 or len(raw)
        raw, start = raw[first:], start + first
    last = raw.rfind(b"\n") + 1
    if not from_end and not last and len(raw) == size:
        last = size  # one entry longer than a part; it is cut
    raw = raw[:last]
    lines, at = [], start
    for line in raw.splitlines(keepends=True):
        lines.append(_read_line(at, line))
        at += len(line)
    return LogPart(tuple(lines), start, start + last)


def _read_line(start: int, line: bytes) -> LogLine:
    text = line.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return LogLine(start, "", "info", "", remove_controls(text)[:LONGEST_TEXT])
    at, level, step, said = (str(found.get(key, "")) for key in ("at", "level", "step", "text"))
    return LogLine(start, at[11:19], level, step, remove_controls(said)[:LONGEST_TEXT])
