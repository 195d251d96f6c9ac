"""The output of `engine serve`: one line per event."""

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TextIO

from engine.errors import Diagnostic
from engine.formatting.control_characters import escape_controls
from engine.formatting.moments import format_second
from engine.pipeline.log import LogLine
from engine.spec import ProjectSpec, Secrets, diagnostics

DETAILS = ("coalesced", "maintenance")
"""Kinds of events that are printed for people only with `verbose`."""


class ServePrinter:
    """Prints the events of a server: text on standard error, or JSON on standard output; thread-safe."""

    def __init__(self, form: Literal["text", "json"], *, verbose: bool) -> None:
        self._form, self._verbose = form, verbose
        self._lock = threading.Lock()
        self._unprinted, self._obstacle = 0, ""
        self._secrets: dict[Path, Secrets] = {}

    def report(self, kind: str, text: str, **facts: object) -> None:
        """Print an event."""
        if self._form == "json":
            self._print(self._format(kind, text, facts), sys.stdout)
        elif self._verbose or kind not in DETAILS:
            self._print(self._format(kind, text), sys.stderr)

    def _format(self, kind: str, text: str, facts: Mapping[str, object] = MappingProxyType({})) -> str:
        now = datetime.now(UTC)
        if self._form == "text":
            return f"{format_second(now)} {escape_controls(text)}"
        entry = {"at": now.isoformat(), "kind": kind, "text": text, **facts}
        return json.dumps(entry, ensure_ascii=False, default=_format_fact)

    def show_to_person(self, text: str) -> None:
        """Print a text on standard error, in both forms."""
        self._print(text, sys.stderr)

    def show_findings(self, findings: Sequence[Diagnostic]) -> None:
        """Print the problems of a spec."""
        self._print(diagnostics.render_diagnostics(findings), sys.stderr)

    def show_line(self, line: LogLine) -> None:
        """Print an entry of a run's log, if `verbose` or if it belongs to no run."""
        if self._verbose or (line.level != "info" and not line.scenario):
            self.report("log", f"{line.level} {line.located_text}")

    def mask_secrets(self, project: ProjectSpec) -> None:
        """Mask the current secrets of a project in everything printed."""
        if project.secrets:
            self._secrets = {**self._secrets, project.path: Secrets(project)}

    def _print(self, text: str, stream: TextIO) -> None:
        for secrets in self._secrets.values():
            text = secrets.redact(text)
        with self._lock:
            try:
                if self._unprinted:
                    print(self._format("log", self._describe_failures()), file=stream, flush=True)
                self._unprinted = 0
                print(text, file=stream, flush=True)
            except OSError as problem:  # such as a full disk of a log: the server continues
                self._unprinted, self._obstacle = self._unprinted + 1, problem.strerror or str(problem)

    def _describe_failures(self) -> str:
        times = "once" if self._unprinted == 1 else f"{self._unprinted} times"
        return f"{times}, something could not be printed: {self._obstacle}"


def _format_fact(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
