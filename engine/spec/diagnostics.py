"""The problems found in a spec: collecting them, and rendering them as text, JSON or GitHub annotations.

The passes over a spec do not raise an exception at the first problem: they add it to `Findings` and continue, so that
a user sees all problems at once.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from engine.errors import Diagnostic, Position, Severity
from engine.formatting.control_characters import escape_controls
from engine.spec.secret_texts import (
    NOT_SHOWN,
    find_last_line,
    find_sections_of_secrets,
    mask_lines,
    mask_tokens,
    may_be_secret,
    measure_public_part,
)

DiagnosticFormat = Literal["text", "json", "github"]
TAB_WIDTH = 4
LONGEST_LINE = 160

SECRET_CODES = ("password", "secret-value")
"""The codes of findings with a secret at their position."""

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "help": "\x1b[36m", "off": "\x1b[0m"}


MAX_FINDINGS = 200


class TooManyFindings(Exception):  # noqa: N818  ends the validation, and is not shown to anybody
    """There are more than `MAX_FINDINGS` errors. Validation stops, because a hopeless spec could take very long."""


class Findings(list[Diagnostic]):
    """A list of the problems found so far, of limited length."""

    def append(self, diagnostic: Diagnostic) -> None:
        """Add a problem, without tokens. When the list is full, drop a warning; raise TooManyFindings for an error."""
        shown, help_ = mask_tokens(diagnostic.message), diagnostic.help and mask_tokens(diagnostic.help)
        if (shown, help_) != (diagnostic.message, diagnostic.help):
            diagnostic = replace(diagnostic, message=shown, help=help_)
        if len(self) < MAX_FINDINGS:
            super().append(diagnostic)
        elif diagnostic.severity is Severity.ERROR:
            message = f"there are more than {MAX_FINDINGS} problems; only the first ones are shown"
            super().append(Diagnostic(diagnostic.position, "too-many", message, "correct these and validate again"))
            raise TooManyFindings

    def error(
        self, position: Position, code: str, message: str, help_: str | None = None, also: Position | None = None
    ) -> None:
        self.append(Diagnostic(position, code, message, help_, Severity.ERROR, also))

    def warning(self, position: Position, code: str, message: str, help_: str | None = None) -> None:
        self.append(Diagnostic(position, code, message, help_, Severity.WARNING))

    def sorted_by_position(self) -> tuple[Diagnostic, ...]:
        """Return the problems sorted by position, without duplicates, which YAML aliases cause."""
        return tuple(sorted(dict.fromkeys(self), key=lambda d: (d.position, d.code, d.message)))


def render_diagnostics(
    diagnostics: Iterable[Diagnostic],
    form: DiagnosticFormat = "text",
    *,
    colour: bool = False,
    others: Iterable[Diagnostic] = (),
) -> str:
    """Return the diagnostics as text for a terminal, as one JSON array, or as GitHub workflow commands.

    `others` are other findings of the same spec; secrets at their positions are masked too.
    """
    if form == "json":
        return json.dumps([_diagnostic_to_dict(d) for d in diagnostics], ensure_ascii=False, indent=2)
    if form == "github":
        return "\n".join(_format_github_command(d) for d in diagnostics)
    found = list(diagnostics)
    files = {at.file for one in found for at in (one.position, one.also) if at}
    known = [*found, *others]
    lines = {file: read_shown_lines(file, known) for file in files}
    return "\n".join(_format_text(d, lines, colour) for d in found)


def _diagnostic_to_dict(diagnostic: Diagnostic) -> dict[str, object]:
    def place(position: Position) -> dict[str, object]:
        return {
            "file": position.file,
            "line": position.line,
            "column": position.column,
            "length": position.length,
        }

    return {
        "severity": str(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "help": diagnostic.help,
        **place(diagnostic.position),
        "also": place(diagnostic.also) if diagnostic.also else None,
    }


def _format_github_command(diagnostic: Diagnostic) -> str:
    # The escapes of @actions/core, command.ts: without them a text of the spec could start another command.
    def data(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    def attribute(text: str) -> str:
        return data(text).replace(":", "%3A").replace(",", "%2C")

    at = diagnostic.position
    message = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    return (
        f"::{diagnostic.severity} file={attribute(at.file)},line={at.line},col={at.column},"
        f"endColumn={at.column + at.length},title={attribute(diagnostic.code)}::{data(message)}"
    )


def _format_text(diagnostic: Diagnostic, lines: Mapping[str, list[str]], colour: bool) -> str:
    def paint(name: str, text: str) -> str:
        return f"{_COLOURS[name]}{text}{_COLOURS['off']}" if colour else text

    at, severity = diagnostic.position, str(diagnostic.severity)
    where = f"{escape_controls(at.file)}:{at.line}:{at.column}"
    out = [
        f"{where}: {paint(severity, severity + ':')} {escape_controls(diagnostic.message)} [{diagnostic.code}]",
        *_format_excerpt(at, lines, lambda text: paint(severity, text)),
    ]
    if diagnostic.also:
        other = diagnostic.also
        out.append(f"  also here: {escape_controls(other.file)}:{other.line}:{other.column}")
        out += _format_excerpt(other, lines, lambda text: paint(severity, text))
    if diagnostic.help:
        out.append(f"  {paint('help', 'help:')} {escape_controls(diagnostic.help)}")
    return "\n".join(out)


def _format_excerpt(position: Position, lines: Mapping[str, list[str]], paint: Callable[[str], str]) -> list[str]:
    """Return the source line and a line of carets below the position, or nothing if the line cannot be shown."""
    source = lines[position.file]
    if not 0 < position.line <= len(source) or not source[position.line - 1].strip():
        return []
    line = source[position.line - 1]
    start = position.column - 1
    # Of a long line, show the part around the position.
    first = max(0, start - LONGEST_LINE // 2) if len(line) > LONGEST_LINE else 0
    shown = line[first : first + LONGEST_LINE]
    before, marked = line[first:start], line[start : start + position.length][: LONGEST_LINE // 2]
    number = f"{position.line:>5} | "
    carets = "^" * max(1, _terminal_width(marked))
    return [
        number + _expand_tabs(shown).rstrip(),
        " " * 6 + "| " + " " * _terminal_width(before) + paint(carets),
    ]


def read_shown_lines(file: str, findings: Iterable[Diagnostic]) -> list[str]:
    """Return the lines of a spec file, with known and possible secrets masked.

    `findings` are all those of the spec, since a secret may be near the shown mistake.
    """
    here = [one for one in findings if Path(one.position.file).absolute() == Path(file).absolute()]
    unknown = {(one.position.line, one.position.column) for one in here if one.code == "unknown-key"}
    written = _read_lines(file)
    lines, among_secrets = mask_lines(written, unknown), find_sections_of_secrets(written)
    for one in here:
        is_hidden = one.code in SECRET_CODES or NOT_SHOWN in one.message
        if one.position.line > len(lines) or not (is_hidden or one.code in ("wrong-value", "url", "header")):
            continue
        at = one.position
        line, start, end = lines[at.line - 1], at.column - 1, at.column - 1 + at.length
        if at.line in among_secrets and one.message.endswith(("found a list", "found a mapping")):
            # the position of a list is its beginning, and one in brackets may end in a later line
            is_hidden, end = True, len(line)
            for further in range(at.line, find_last_line(written, at.line - 1, start) + 1):
                lines[further] = "*" * len(lines[further])
        if at.line in among_secrets and one.code in ("url", "header"):
            is_hidden, start = True, start + measure_public_part(line[start:end], one.code)
        if is_hidden or may_be_secret("", line[start:end]):
            lines[at.line - 1] = line[:start] + "*" * len(line[start:end]) + line[end:]
    return lines


def _read_lines(file: str) -> list[str]:
    """Return the lines of a file, or none if it cannot be read, which is then reported as another diagnostic."""
    try:
        path = Path(file)
        if not path.is_file():
            return []
        with path.open("rb") as stream:
            raw = stream.read(1 << 20)
    except (OSError, ValueError):
        return []
    return raw.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _expand_tabs(text: str) -> str:
    return "".join(" " * TAB_WIDTH if c == "\t" else escape_controls(c) for c in text)


def _terminal_width(text: str) -> int:
    """Return the width of a text on a terminal: 2 columns per wide character, 0 per combining character."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in _expand_tabs(text)
    )
