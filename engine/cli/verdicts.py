"""What `engine validate` tells: the verdict on each spec, and how verdicts are printed."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Diagnostic
from engine.outcome import ExitCode
from engine.spec import diagnostics


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is told of one spec: its problems, what it switches off, and whether it is wrong."""

    found: tuple[Diagnostic, ...]
    inactive: tuple[str, ...]
    wrong: bool


def print_verdicts(specs: Sequence[Path], verdicts: Sequence[Verdict], form: diagnostics.DiagnosticFormat) -> ExitCode:
    """Print the verdicts on some specs, and return the exit code."""
    found = [one for verdict in verdicts for one in verdict.found]
    wrong = any(verdict.wrong for verdict in verdicts)
    if form == "json" or found:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(diagnostics.render_diagnostics(found, form, colour=colour))
    if form == "text" and not wrong:
        inactive = ", ".join(one for verdict in verdicts for one in verdict.inactive)
        off = f"; switched off: {inactive}" if inactive else ""
        print(f"{', '.join(str(path) for path in specs)}: valid{off}")
    return ExitCode.USAGE if wrong else ExitCode.OK
