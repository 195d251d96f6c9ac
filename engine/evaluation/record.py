"""Records of evaluations and check results: plain frozen data for the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from engine.errors import Position
from engine.evaluation.bounds import AppliedRange, CheckBounds, bounds_from_json, bounds_to_json
from engine.evaluation.detail import ColumnDetail, ColumnImportance, PredictionDetail
from engine.formatting.moments import format_minute
from engine.models import PerformanceDetail
from engine.outcome import CheckOutcome
from engine.spec.metrics.catalogue import METRICS
from engine.spec.metrics.names import MetricName

_COLUMN_STATISTICS = {
    metric.name
    for metric in METRICS
    if metric.scope == "store" and metric.member == "column" and metric.name != "type_changed"
}


@dataclass(frozen=True, slots=True)
class MetricValue:
    """The value of a metric; if `value` is None, `reason` says why. Some values have a reason as well.

    `low` and `high` are a confidence interval at the level of the evaluation store. If a metric that usually has an
    interval has none, `reason` says why, beginning with "no interval: ". For a drift statistic of a column with too
    many distinct values to be kept whole, they are exact bounds of the value instead.

    `failed` means that the metric could not be computed: its checks are ERROR. A metric without a value for another
    reason makes its checks EMPTY. `counts_as_ok` means that nothing is wrong, because only labels are missing or there
    are too few rows for any verdict: such an EMPTY counts as OK.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str | None = None
    failed: bool = False
    counts_as_ok: bool = False


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """BLAKE2b hex digests of everything on which the numbers of an evaluation depend: equal digests, equal numbers."""

    model: str
    dataset: str
    reference: str
    parameters: str


@dataclass(frozen=True, slots=True)
class EvaluationTime:
    """The declared time of an evaluation's batch: a moment, or a window of time whose end is excluded.

    `start` and `end` are in UTC; `text` is the declared time for display, in the project's time zone.
    """

    start: datetime
    end: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of an evaluation store: a batch compared with a reference, and a model measured on it.

    `columns`, `prediction` and `performance` are stored besides the metrics: roles and histograms of both sides by
    column, those of the predictions, confusion matrix and curves. `reference_performance` holds the performance metrics
    of the reference that have a value, with their intervals. `left_out` gives, by column, the reason why it was not
    compared. `facts` are the inputs of the fingerprints, ready for JSON.

    `time` is None if none is declared: then the evaluation belongs to the moment of its run. `superseded_by` is the id
    of a later evaluation of the same time and model, made from changed data. `same_data_as` is the id of an evaluation
    of another time whose batch has exactly the same data. `release` is the bundle of the deployment that made it, and
    `revision` the number of the active revision; None outside of deployments. `origin` is the deployment from which it
    was pulled, and `infrastructure` that deployment's infrastructure; None if it was made in this state.
    `files_removed` is the time when retention removed its files, the snapshot of its batch; None while they are kept.
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
    columns: Mapping[str, ColumnDetail] = field(default_factory=dict, repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict)
    importance: ColumnImportance = field(default_factory=ColumnImportance, repr=False)
    prediction: PredictionDetail | None = field(default=None, repr=False)
    performance: PerformanceDetail = field(default_factory=PerformanceDetail, repr=False)
    reference_performance: Mapping[str, MetricValue] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    model: str | None = None
    model_version: str | None = None
    run: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    time: EvaluationTime | None = None
    superseded_by: str | None = None
    same_data_as: str | None = None
    files_removed: datetime | None = None
    release: str | None = None
    revision: int | None = None
    origin: str | None = None
    infrastructure: str | None = None

    @property
    def moment(self) -> datetime:
        """The moment that orders the history: the start of its time, else its creation time."""
        return self.time.start if self.time else self.created

    @property
    def pulled_from(self) -> str:
        """The deployment from which it was pulled, in words; empty if it was made in this state."""
        if self.origin is None:
            return ""
        revision = "" if self.revision is None else f", revision {self.revision}"
        return f"deployment {self.origin} on {self.infrastructure}{revision}"

    @property
    def order(self) -> tuple[bool, datetime]:
        """The sort key in the history of its store; evaluations from before times were declared come first."""
        return self.time is not None, self.moment

    def find_value(self, metric: str) -> float | None:
        """Return the value of a metric, or None."""
        measured = self.metrics.get(metric)
        return None if measured is None else measured.value

    def find_drift(self, column: str) -> float | None:
        """Return the drift of a column; None if it has no verdict."""
        return self.find_value(str(MetricName("drift", column)))

    def group_column_metrics(self) -> dict[str, dict[str, MetricValue]]:
        """Return the statistics of each compared column by name, in the order of the columns."""
        by_text = {str(MetricName("", name)).removeprefix("."): name for name in self.columns}
        found: dict[str, dict[str, MetricValue]] = {name: {} for name in self.columns}
        for metric, measured in self.metrics.items():
            statistic, _, member = metric.partition(".")
            if statistic in _COLUMN_STATISTICS and member in by_text:
                found[by_text[member]][statistic] = measured
        return found

    def group_prediction_metrics(self) -> dict[str, dict[str, MetricValue]]:
        """Return the statistics of the predictions by name, for `prediction` and `probability`."""
        if self.prediction is None:
            return {}
        prefix = "prediction_drift."
        drift = {name.removeprefix(prefix): one for name, one in self.metrics.items() if name.startswith(prefix)}
        return {
            name: drift
            if detail is self.prediction.main
            else {key: MetricValue(value, reason=detail.reasons.get(key)) for key, value in detail.statistics.items()}
            for name, detail in self.prediction.columns.items()
        }


@dataclass(frozen=True, slots=True)
class CheckMute:
    """Who muted a check, until when, and why. If it is `over`, the check counts again."""

    until: datetime
    by: str
    reason: str
    over: bool = False

    def __str__(self) -> str:
        until = format_minute(self.until)
        if self.over:
            return f"counts again: it was muted until {until} by {self.by}: {self.reason}"
        return f"muted until {until} by {self.by}: {self.reason}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check on one metric.

    `check` is the name of the check in the spec, `target` the evaluation store or dataset, `metric` the concrete
    metric: a wildcard check gives one result per metric. `bounds` are the allowed values; None for a python check, and
    for a wildcard that matches nothing. `counts_as` is the outcome after `when_empty`, never EMPTY; for a muted check
    it is OK. `reason` is a sentence for people. `detectable` gives, by bound, the value nearest to it that would have
    broken the check in 4 of 5 batches of this size, None if none would; empty if unknown. `mute` is the mute of the
    check when it was applied, or one that has expired since the previous application.
    """

    target: str
    check: str
    metric: str
    outcome: CheckOutcome
    counts_as: CheckOutcome
    value: float | None = None
    bounds: Annotated[CheckBounds | None, PlainSerializer(bounds_to_json), PlainValidator(bounds_from_json)] = None
    reason: str = ""
    position: Position | None = None
    evaluation: str | None = None
    detectable: Mapping[str, float | None] = field(default_factory=dict)
    mute: CheckMute | None = None

    @property
    def muted(self) -> bool:
        """Whether the check was muted, so that it counts as OK whatever its outcome."""
        return self.mute is not None and not self.mute.over

    @property
    def excess(self) -> float:
        """How far the value is outside the broken range, in its unit; infinite without a value."""
        if self.value is None:
            return inf
        return self.bounds.compute_excess(self.value) if isinstance(self.bounds, AppliedRange) else 0.0

    @property
    def explanation(self) -> str:
        """The reason, and the mute of the check if there is one."""
        return f"{self.reason} ({self.mute})".strip() if self.mute else self.reason

    @property
    def summary(self) -> str:
        """The result in one line: the check, its metric and the reason."""
        text = self.reason
        if self.bounds is not None:
            text = f"{self.metric} has no value: {text}" if self.value is None else f"{self.metric} {text}"
        text = f"{self.check}: {text.rstrip()}" if text else self.check
        return f"{text} ({self.mute})" if self.mute else text
