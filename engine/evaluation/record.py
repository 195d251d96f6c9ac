"""What an evaluation holds, and what a check found: plain frozen data, made here, remembered by the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.errors import Position
from engine.outcome import CheckOutcome


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A metric. Where `value` is None, `reason` says why.

    `low`/`high`: interval at the store's confidence; of a drift statistic, what it certainly lies between, where a
    column has too many values to be kept whole.

    `failed` tells a metric that could not be computed (its checks are ERROR) from one that has no value (EMPTY);
    `unlabelled` that labels are all it lacks (its checks are OK, noted).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str | None = None
    failed: bool = False
    unlabelled: bool = False


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """What an evaluation depends on, each as a BLAKE2b hex digest. Equal fingerprints: equal numbers."""

    model: str
    dataset: str
    reference: str
    parameters: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One row of an evaluation store: a batch met a model and a reference.

    `columns`, `prediction` and `performance` are JSON-ready detail: per-column statistics with histograms of both
    sides; prediction drift and shares predicted; confusion matrix and curves. `importance` maps "drift" and "model"
    to importances by column. `facts` are what the fingerprints are made of, JSON-ready.
    """

    id: str
    store: str
    name: str
    labels: Mapping[str, str]
    created: datetime
    fingerprints: Fingerprints
    engine_version: str
    kernel_version: str
    rows_read: int
    rows_used: int
    reference_rows: int
    metrics: Mapping[str, MetricValue] = field(repr=False)
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict)
    importance: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    prediction: Mapping[str, Any] = field(default_factory=dict, repr=False)
    performance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    model: str | None = None
    model_version: str | None = None
    run: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found on one metric.

    `check` is the name in the spec, `target` the store or dataset, `metric` the concrete metric (a wildcard check
    gives one result a metric). `bounds` holds the range or values applied, and of a change what it is measured by.
    `counts_as` is the outcome after `when_empty`: never EMPTY. `reason` is a sentence for people.
    """

    target: str
    check: str
    metric: str
    outcome: CheckOutcome
    counts_as: CheckOutcome
    value: float | None = None
    bounds: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    position: Position | None = None
    evaluation: str | None = None

    @property
    def told(self) -> str:
        """Return the result on one line: the check, its metric, and why."""
        why = self.reason
        if self.bounds:
            why = f"{self.metric} has no value: {why}" if self.value is None else f"{self.metric} {why}"
        return f"{self.check}: {why.rstrip()}" if why else self.check
