"""The names that a condition may use at its place, and their types."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from engine.outcome import CheckOutcome, Outcome
from engine.spec.catalogue import MetricScope
from engine.spec.resources.resource import Scalar

RESERVED = ("outcome", "steps", "checks", "metrics", "trigger")
STEP_PREFIX = "stepOutcome_"

Type = Literal["true or false", "number", "text", "date", "outcome", "check outcome"]

FAMILIES: dict[Type | None, list[str]] = {"outcome": list(Outcome), "check outcome": list(CheckOutcome)}
"""The types that are outcomes, and their values."""


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


def step_variable(step: str) -> str:
    """Return the name of a step's outcome: whatever is not A-Z a-z 0-9 reads as `_`."""
    return STEP_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", step)


def a(type_: Type | None) -> str:
    """Return a type as a sentence has it."""
    return {"true or false": "true or false", "outcome": "an outcome"}.get(str(type_), f"a {type_}")


def type_of(value: Scalar | date) -> Type | None:
    """Return the type that a variable's value has in a condition; None for null."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, date):
        return "date"
    return None if value is None else "text"
