"""Reading the text of a spec file, and computing positions in it.

A path given by a user may lead to nothing, to a folder, to a pipe, or to a huge or binary file. Each of these becomes a
finding, and none of them blocks.
"""

import re
from bisect import bisect_right
from pathlib import Path

from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.observations import MAX_SPEC_BYTES, note_fact, note_unknown
from engine.spec.regular_file import IrregularFileError, read_regular_file

_FORBIDDEN_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


class Source:
    """The text of a file. Lines are counted as editors do: libyaml also ends a line at characters such as U+2028."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]

    def position(self, start: int, end: int | None = None) -> Position:
        """Return the position of `text[start:end]`, or of its first line if it has several."""
        line = bisect_right(self._starts, start)
        stop = self.text.find("\n", start)
        stop = len(self.text) if stop < 0 else stop
        stop = min(stop, start + 1 if end is None else end)
        return Position(self.file, line, start - self._starts[line - 1] + 1, max(1, stop - start))


def read_source(path: Path, findings: Findings) -> Source | None:
    """Read a file. Return None if that is not possible; a finding then gives the reason."""
    file = str(path)
    try:
        raw = read_regular_file(path, MAX_SPEC_BYTES + 1)
    except IrregularFileError as problem:
        note_unknown()
        findings.error(Position(file), "file", str(problem), _list_spec_files(path))
        return None
    except (OSError, ValueError) as problem:
        note_unknown()
        help_ = None
        if isinstance(problem, FileNotFoundError):
            text, help_ = "there is no such file", _list_spec_files(path.parent)
        elif isinstance(problem, PermissionError):
            text = "this file cannot be read: permission denied"
        else:
            text = f"this file cannot be read: {getattr(problem, 'strerror', None) or problem}"
        findings.error(Position(file), "file", text, help_)
        return None
    note_fact("file", file, raw)
    return decode_source(file, raw, findings)


def _list_spec_files(folder: Path) -> str | None:
    """Return a help that names up to ten YAML files of a folder, or None if there are none."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except (OSError, ValueError):
        return None
    shown = ", ".join(names[:10]) + (" and others" if len(names) > 10 else "")
    return f"{folder.absolute()} contains {shown}" if names else None


def decode_source(file: str, raw: bytes, findings: Findings) -> Source | None:
    """Decode the bytes of a file: UTF-8 with or without a BOM, any line ends, no control characters.

    Return None if the bytes are not such a text; a finding then gives the reason.
    """
    if len(raw) > MAX_SPEC_BYTES:
        findings.error(
            Position(file), "file", "this file is larger than 1 MB", "split the project, and include its files"
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
    if bad := _FORBIDDEN_CHARACTERS.search(source.text):
        code = f"U+{ord(bad[0]):04X}"
        findings.error(
            source.position(bad.start()),
            "encoding",
            f"the control character {code} is not allowed in YAML",
            "remove it",
        )
        return None
    return source
