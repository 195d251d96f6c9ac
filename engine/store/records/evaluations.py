"""The records of evaluations: the histories of metrics and checks, removals, mutes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from engine.evaluation.record import CheckResult


class MetricPoint(NamedTuple):
    """A metric's value in one evaluation, with its confidence interval if it has one.

    `moment` orders the history: it is the start of the evaluation's time, or else when it was made. `time` is the
    declared time as text.
    """

    evaluation: str
    name: str
    moment: datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    time: str | None = None


class CheckPoint(NamedTuple):
    """A check result of one run."""

    run: str | None
    created: datetime
    result: CheckResult


class PastFacts(NamedTuple):
    """The facts behind an earlier fingerprint. `label` is the evaluation's name or the model version's number."""

    label: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mute:
    """A check of an evaluation store or a dataset, muted by a person until a time.

    `ended` is when a person ended the mute before that time; None if nobody did.
    """

    target: str
    check: str
    until: datetime
    by: str
    reason: str
    created: datetime
    ended: datetime | None = None
    ended_by: str | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """Who removed which evaluations of a store, and when."""

    store: str
    name: str
    evaluations: tuple[str, ...]
    by: str
    at: datetime
