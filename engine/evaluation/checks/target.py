"""The target of checks, and the finding of a check."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from engine.evaluation.record import MetricValue
from engine.outcome import CheckOutcome
from engine.spec.code_folder import CodeFolder

MetricsByName = Mapping[str, MetricValue]


class PastMetrics(NamedTuple):
    """The metrics of an earlier evaluation or measurement, and the moment that orders its history."""

    moment: datetime
    metrics: MetricsByName


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """The metrics to which checks are applied: those of a dataset or of one evaluation.

    `name` is the name of the dataset or evaluation store, and `moment` the time of the metrics. `past` holds earlier
    ones, oldest first: those in the window of `find_past_window`, or all. Functions of python checks are loaded from
    `code`, and their messages pass through `redact`, which masks secrets. `evaluation` is the id of the evaluation, if
    there is one, `rows` are the numbers of rows of batch and reference, and `confidence` is the level of its intervals.
    `detectable_drifts` gives, by name of a drift metric, the smallest drift that would be found 4 times in 5.
    `in_seconds` are the metrics in seconds. `of_model` means that `past` is of the same model only, `is_segment` that
    these are the metrics of a segment of the batch.
    """

    name: str
    moment: datetime
    metrics: MetricsByName
    past: Sequence[PastMetrics]
    code: CodeFolder
    redact: Callable[[str], str]
    evaluation: str | None = None
    in_seconds: Collection[str] = ()
    rows: tuple[int, int] | None = None
    confidence: float = 0.95
    detectable_drifts: Mapping[str, float | None] = field(default_factory=dict)
    of_model: bool = False
    is_segment: bool = False


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """The outcome of a check, with its reason and the checked value.

    `nothing_wrong` is True if only labels are missing, or there are too few rows for a verdict, or too few earlier
    values for a comparison. An EMPTY outcome then counts as OK, unless the check has `when_empty`.
    """

    outcome: CheckOutcome
    reason: str
    value: float | None = None
    nothing_wrong: bool = False
    detectable: Mapping[str, float | None] = field(default_factory=dict)


def build_missing_finding(metric: MetricValue) -> CheckFinding:
    """Return the finding for a metric without a value."""
    reason = metric.reason or "no reason is recorded"
    if metric.failed:
        return CheckFinding(CheckOutcome.ERROR, reason)
    return CheckFinding(CheckOutcome.EMPTY, reason, nothing_wrong=metric.counts_as_ok)
