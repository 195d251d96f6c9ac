"""How things ended: the two families of outcomes and the exit codes.

A step and a run end in an `Outcome`, a check in a `CheckOutcome`. Both are ordered by severity, so that
"the worst of" is one function. The exit codes are those of the reference page, first that applies.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum


class Outcome(StrEnum):
    """How a step or a run ended, mildest first."""

    SKIPPED = "SKIPPED"
    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


class CheckOutcome(StrEnum):
    """How a check ended, mildest first. EMPTY: the metric has no value."""

    OK = "OK"
    EMPTY = "EMPTY"
    WARNING = "WARNING"
    ERROR = "ERROR"


class ExitCode(IntEnum):
    """Exit codes of every verb."""

    OK = 0
    CHECK_ERROR = 1
    USAGE = 2
    COULD_NOT_RUN = 3
    UNDELIVERED = 4
    INTERRUPTED = 130


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the most severe outcome; SUCCESS of none, or of nothing but skipped ones."""
    return max([Outcome.SUCCESS, *outcomes], key=list(Outcome).index)


def worst_check(outcomes: Iterable[CheckOutcome]) -> CheckOutcome:
    """Return the most severe check outcome; OK of none."""
    return max([CheckOutcome.OK, *outcomes], key=list(CheckOutcome).index)
