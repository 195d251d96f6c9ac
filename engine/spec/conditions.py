"""Run conditions: a bare CEL expression over what the run knows, allowed as little as a condition needs.

CEL (through cel-expr-python) reads, types and evaluates; our own pass over its syntax tree allows
`== != < <= > >= in && || ! ( )`, literals and the names of the place, and finds what CEL lets through: misspelt
outcomes, steps that do not exist or come later, conditions that are always true. A template language was refused:
its text is pasted before it is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from engine.outcome import CheckOutcome, Outcome
from engine.spec.catalogue import MetricScope
from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar

RESERVED = ("outcome", "steps", "checks", "metrics", "trigger")
STEP_PREFIX = "stepOutcome_"


@dataclass(frozen=True, slots=True)
class MetricPlace:
    """A store or dataset whose metrics a condition may ask for: see `catalogue.lookup`."""

    scope: MetricScope
    task: str | None = "any"
    own: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that are legal in a condition at its place.

    Attributes
    ----------
    steps
        Names of the steps that are over by then, in order; for a reporter at the end, all of them.
    later
        Names of the steps that come after, or the step itself.
    checks
        Names of the checks that the scenario may run.
    metrics
        Stores and datasets whose metrics may be asked for; a metric is legal if any of them has it.
    variables
        The variables and their typed values.
    """

    steps: Sequence[str] = ()
    later: Sequence[str] = ()
    checks: Sequence[str] = ()
    metrics: Sequence[MetricPlace] = ()
    variables: Mapping[str, Scalar | date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run knows when it asks a condition. A metric that is None or NaN has no value."""

    outcome: Outcome | None = None
    steps: Mapping[str, Outcome] = field(default_factory=dict)
    checks: Mapping[str, CheckOutcome] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    trigger: str = "manual"
    variables: Mapping[str, Scalar | date] = field(default_factory=dict)


class Undecided(Exception):  # noqa: N818 # not an error: the caller sends, or fails the step, saying so
    """The condition cannot be decided; `str()` is the reason, for people."""


def step_variable(step: str) -> str:
    """Return the name of a step's outcome: whatever is not A-Z a-z 0-9 reads as `_`."""
    return STEP_PREFIX + "".join(c if c.isascii() and c.isalnum() else "_" for c in step)


def problems(text: str, scope: Scope) -> list[Problem]:
    """Return everything that is wrong with a condition at its place, in order of position."""
    raise NotImplementedError


def decide(text: str, facts: Facts) -> bool:
    """Return whether the condition holds.

    Raises
    ------
    Undecided
        A metric has no value, a step has not run, or the like, and the rest of the condition does not decide.
    """
    raise NotImplementedError
