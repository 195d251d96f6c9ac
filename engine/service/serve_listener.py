"""The interface through which a server reports events to its user."""

from collections.abc import Sequence
from typing import Protocol

from engine.errors import Diagnostic
from engine.pipeline.log import LogLine
from engine.spec import ProjectSpec


class ServeListener(Protocol):
    """Reports the events of a server. Its methods may be called from any thread."""

    def report(self, kind: str, text: str, **facts: object) -> None:
        """Report an event: `kind` and `facts` are for programs, `text` for people."""

    def show_findings(self, findings: Sequence[Diagnostic]) -> None:
        """Show the problems of a spec."""

    def show_line(self, line: LogLine) -> None:
        """Show an entry of a run's log."""

    def mask_secrets(self, project: ProjectSpec) -> None:
        """Mask the secrets of a project from now on."""
