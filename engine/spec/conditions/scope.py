"""The names that a condition may use at its place in the spec, and the types of conditions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from engine.outcome import CheckOutcome, Outcome
from engine.spec.metrics.owner import MetricOwner
from engine.spec.resources.resource import Scalar

ALWAYS = "always"
"""The condition that always holds; the word is not a name and cannot be combined."""

RESERVED_NAMES = ("outcome", "steps", "checks", "metrics", "trigger")
STEP_PREFIX = "stepOutcome_"

ConditionType = Literal["true or false", "number", "text", "date", "outcome", "check outcome"]

OUTCOME_VALUES: dict[ConditionType | None, list[str]] = {"outcome": list(Outcome), "check outcome": list(CheckOutcome)}
"""The two types that are outcomes, and the values of each."""


@dataclass(frozen=True, slots=True)
class ConditionScope:
    """The names that a condition may use at its place in the spec.

    Attributes
    ----------
    steps
        Names of the steps that have run when the condition is evaluated, in order. For a reporter at the end: all.
    later
        Names of the steps that have not run by then; for the condition of a step, this includes the step itself.
    checks
        Names of the checks that the scenario may run.
    metrics
        Stores and datasets whose metrics may be used. A metric is legal if any of them has it.
    variables
        The variables and their typed values.
    starters
        The possible values of `trigger`: the names of everything that starts runs of the scenario.
    """

    steps: Sequence[str] = ()
    later: Sequence[str] = ()
    checks: Sequence[str] = ()
    metrics: Sequence[MetricOwner] = ()
    variables: Mapping[str, Scalar | date] = field(default_factory=dict)
    starters: Sequence[str] = ()


def name_step_variable(step: str) -> str:
    """Return the name of a step's outcome in conditions; each character except A-Z a-z 0-9 becomes `_`."""
    return STEP_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", step)


def with_article(type_: ConditionType | None) -> str:
    """Return the type's name with its article: "an outcome", "a number"."""
    return {"true or false": "true or false", "outcome": "an outcome"}.get(str(type_), f"a {type_}")


def infer_variable_type(value: Scalar | date) -> ConditionType | None:
    """Return the type of a variable's value in a condition; None for null."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, date):
        return "date"
    return None if value is None else "text"
