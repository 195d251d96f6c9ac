"""A spec file's text, read from whatever its path leads to, and the places in it.

Files are untrusted: they may be missing, folders, pipes, huge, binary. Each is a finding and none blocks.
"""

import os
import re
import stat
from bisect import bisect_right
from pathlib import Path

from engine.errors import Position
from engine.spec.diagnostics import Findings

MAX_BYTES = 1 << 20

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


class Source:
    """A file's text: places are counted from it, so that they are the editor's, whatever libyaml counts as a line."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def position(self, start: int, end: int | None = None) -> Position:
        """Return the place of `text[start:end]`, up to the end of its first line."""
        line = bisect_right(self._starts, start)
        stop = self.text.find("\n", start)
        stop = len(self.text) if stop < 0 else stop
        stop = min(stop, start + 1 if end is None else end)
        return Position(self.file, line, start - self._starts[line - 1] + 1, max(1, stop - start))


def read(path: Path, findings: Findings) -> Source | None:
    """Read a file that may be anything: missing, a folder, a pipe, huge, binary. None where a finding says why."""
    file = str(path)
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to must not hang
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            what = "this is a folder, not a file" if stat.S_ISDIR(mode) else "this is not a file"
            findings.error(Position(file), "file", what)
            return None
        with os.fdopen(descriptor, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as problem:
        if isinstance(problem, FileNotFoundError):
            text = "there is no such file"
        elif isinstance(problem, PermissionError):
            text = "this file may not be read"
        else:
            text = f"this file cannot be read: {getattr(problem, 'strerror', None) or problem}"
        findings.error(Position(file), "file", text)
        return None
    return decode(file, raw, findings)


def decode(file: str, raw: bytes, findings: Findings) -> Source | None:
    """Make text of a file's bytes: UTF-8 (a BOM is skipped), any line ends, nothing unprintable."""
    if len(raw) > MAX_BYTES:
        findings.error(
            Position(file), "file", "this file is larger than 1 MB", "split the project into files with include"
        )
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        good = raw[: problem.start].decode("utf-8-sig", errors="replace")
        at = Position(file, good.count("\n") + 1, len(good) - good.rfind("\n"))
        findings.error(at, "encoding", f"byte 0x{raw[problem.start]:02X} is not UTF-8 text", "save the file as UTF-8")
        return None
    source = Source(file, text.replace("\r\n", "\n").replace("\r", "\n"))
    if bad := _UNPRINTABLE.search(source.text):
        code = f"U+{ord(bad[0]):04X}"
        findings.error(source.position(bad.start()), "encoding", f"the control character {code} is not legal in YAML")
        return None
    return source
