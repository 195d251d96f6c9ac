"""The records from which the view of an evaluation is computed."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.evaluation.bounds import CheckBounds
from engine.evaluation.record import CheckResult, Evaluation
from engine.outcome import CheckOutcome
from engine.spec.metrics.catalogue import PERFORMANCE_METRICS
from engine.store import MetricPoint
from engine.views.performance import LEADING_METRICS

COMPARED_WITH_ITSELF = ", so its batch is compared with itself"
"""The end of the note on an evaluation whose only reference is its own batch."""

MOST_HISTORIES = 8
"""Maximum number of history charts on a page."""


@dataclass(frozen=True, slots=True)
class EvaluationFacts:
    """One evaluation with its context.

    `checks` are the results of the store's checks on it. `history` has metrics of the store's evaluations, oldest
    first; `applied` holds what checks allowed there, by evaluation id and metric. `displayed` are the metrics that the
    store displays first. `spec` is the project as YAML, secrets masked.
    """

    project: str
    dataset: str
    evaluation: Evaluation
    checks: Sequence[CheckResult] = ()
    history: Mapping[str, Sequence[MetricPoint]] = field(default_factory=dict)
    applied: Mapping[tuple[str, str], Sequence[CheckBounds | None]] = field(default_factory=dict)
    displayed: Sequence[str] = ()
    spec: str = ""
    run_url: str | None = None

    @property
    def file_name(self) -> str:
        """The name of files about it, without the ending."""
        origin = f"-{self.evaluation.origin}" if self.evaluation.origin else ""
        return re.sub(r"[^\w.-]+", "-", f"{self.evaluation.store}-{self.evaluation.name}{origin}")[:100]

    @property
    def is_own_reference(self) -> bool:
        """Whether the batch was compared with itself, as in the first evaluation of some stores."""
        reference = self.evaluation.facts.get("reference", {})
        return reference.get("kind") in ("rolling", "same_period", "evaluation") and "datasets" in reference

    @property
    def why_own_reference(self) -> str:
        """The reason why the batch was compared with itself."""
        notes = (note for note in self.evaluation.notes if note.endswith(COMPARED_WITH_ITSELF))
        return next(notes, f"there is no earlier evaluation{COMPARED_WITH_ITSELF}").removesuffix(COMPARED_WITH_ITSELF)

    def find_leading_metric(self) -> str | None:
        """Return the metric that represents the performance, or None."""
        candidates = [*(metric for metric in self.displayed if metric in PERFORMANCE_METRICS), *LEADING_METRICS]
        return next((metric for metric in candidates if self.evaluation.find_value(metric) is not None), None)

    def list_followed_metrics(self) -> list[str]:
        """Return the metrics whose history gets a chart: the displayed ones, and those that left an allowed range."""
        results = Counter(c.check for c in self.checks)
        left = [c.metric for c in self.checks if c.counts_as is not CheckOutcome.OK and c.metric]
        held = [c.metric for c in self.checks if results[c.check] == 1 and c.metric]
        leading = self.find_leading_metric() or ""
        first = ["data_drift", leading, f"advantage.{leading}", "drifted_columns", "prediction_drift.drift"]
        wanted = dict.fromkeys([*self.displayed, *left[:4], *first, *held])
        return [metric for metric in wanted if self.evaluation.find_value(metric) is not None][:MOST_HISTORIES]
