"""The outcomes of steps and runs, the outcomes of checks, and the exit codes of the command line.

Both kinds of outcomes are ordered by severity, mildest first.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Literal

FailureCause = Literal["check", "failure"]
"""Why a step is FAILED: a check is ERROR, or the step could not run."""


class Outcome(StrEnum):
    """The outcome of a step or a run, mildest first."""

    SKIPPED = "SKIPPED"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


class CheckOutcome(StrEnum):
    """The outcome of a check, mildest first. EMPTY means that the metric has no value."""

    OK = "OK"
    EMPTY = "EMPTY"
    WARNING = "WARNING"
    ERROR = "ERROR"


class ExitCode(IntEnum):
    """The exit codes of all commands. If several apply, the reference page defines which one is used."""

    OK = 0
    CHECK_ERROR = 1
    USAGE = 2
    COULD_NOT_RUN = 3
    UNDELIVERED = 4
    INTERRUPTED = 130


def worst_outcome(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the most severe outcome, or SUCCESS if there is none or all are SKIPPED."""
    return max([Outcome.SUCCESS, *outcomes], key=list(Outcome).index)


def worst_cause(causes: Iterable[FailureCause | None]) -> FailureCause | None:
    """Return the most severe cause, or None if there is none; a step that could not run outweighs a check."""
    found = set(causes)
    return "failure" if "failure" in found else "check" if "check" in found else None


def worst_check_outcome(outcomes: Iterable[CheckOutcome]) -> CheckOutcome:
    """Return the most severe check outcome, or OK if there is none."""
    return max([CheckOutcome.OK, *outcomes], key=list(CheckOutcome).index)
