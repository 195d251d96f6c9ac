"""Looks up metric names in a spec, given the properties of the dataset or store that has the metric."""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from engine.formatting.hints import find_similar
from engine.spec.metrics.catalogue import (
    CHALLENGER_METRICS,
    ESTIMATED_BY_TASK,
    METRICS_BY_NAME,
    METRICS_BY_TASK,
    PERFORMANCE_METRICS,
    SEGMENT_METRICS,
    list_members,
)
from engine.spec.metrics.definition import MEMBER_NAMES, MEMBER_SAMPLES, MetricDefinition, MetricScope
from engine.spec.metrics.lookup import find_metric_definition, is_estimate
from engine.spec.metrics.names import MetricName, parse_metric_name
from engine.spec.metrics.unknown_names import METRIC_ALIASES, explain_unknown_metric
from engine.spec.problem import Problem
from engine.spec.segments import SegmentNames

_WHOLE_NAMES: dict[MetricScope, str] = {"dataset": "dataset", "store": "batch"}
_SEGMENT_METRICS_SHOWN = [
    name
    for name in SEGMENT_METRICS
    if name not in PERFORMANCE_METRICS and not name.startswith(("performance_", "estimated_"))
]


class MetricOwner(NamedTuple):
    """A dataset or an evaluation store whose metrics a text may name.

    Attributes
    ----------
    scope
        Which of the two it is.
    task
        The task of the store's model; None if the store has no model, "any" if that is not known.
    custom_metrics
        Names of its custom metrics, which take precedence over the catalogue.
    challenged
        Whether the store has a challenger, or that is not known.
    estimated
        Whether the store estimates performance, or that is not known.
    segments
        The segments of the store, if they are known.
    """

    scope: MetricScope
    task: str | None = "any"
    custom_metrics: Collection[str] = ()
    challenged: bool = True
    estimated: bool = True
    segments: SegmentNames | None = None

    def resolve(self, text: str, *, in_segment: bool = False) -> MetricName | Problem:
        """Look up a metric name, and check that it is complete and that this dataset or store can have the metric.

        Parameters
        ----------
        text
            The name as written in the spec.
        in_segment
            Whether the metric is that of a segment, which is named elsewhere.
        """
        if text in self.custom_metrics:
            return MetricName(text)
        name = parse_metric_name(text)
        if isinstance(name, Problem):
            return name
        if name.segment is not None:
            return self._check_segment(text, name, name.segment) or name
        metric = METRICS_BY_NAME.get((self.scope, name.statistic))
        if metric is None:
            return explain_unknown_metric(text, name, self.scope, self.task, self.custom_metrics)
        return (
            self._check_place(text, metric, in_segment=in_segment)
            or self._check_member(text, name, metric)
            or self._check_task(text, name)
            or self._check_parts(text, metric)
            or name
        )

    def _check_segment(self, text: str, name: MetricName, segment: str) -> Problem | None:
        """Check the metric of a segment, which is a metric name behind that of the segment."""
        if self.scope == "dataset":
            return Problem(0, len(text), "unknown-metric", "a dataset has no segments", "check it in a store")
        if self.segments is not None and not self.segments.can_be(segment):
            message = f'the store has no segment "{segment}"'
            return Problem(0, len(text), "unknown-name", message, self.segments.suggest(segment))
        inner = str(replace(name, segment=None))
        found = self._replace(custom_metrics=(), segments=None).resolve(inner, in_segment=True)
        if isinstance(found, MetricName):
            return None
        start = max(0, len(text) - len(inner))
        return found._replace(offset=min(len(text) - 1, found.offset + start))

    def _check_place(self, text: str, metric: MetricDefinition, *, in_segment: bool) -> Problem | None:
        """Check that a metric exists at its place: in segments, or for the whole batch."""
        if self.scope == "store" and in_segment and metric.name not in SEGMENT_METRICS:
            message = f"{metric.name} exists only for the whole batch"
            shown = ", ".join(_SEGMENT_METRICS_SHOWN)
            help_ = f"the metrics of a segment are {shown}, and performance with its change and its estimates"
            return Problem(0, len(text), "unknown-metric", message, help_)
        if metric.name == "segment_drift" and not in_segment:
            message = "segment_drift exists only in segments"
            return Problem(0, len(text), "unknown-metric", message, "add segment: NAME, or write data_drift")
        return None

    def _check_member(self, text: str, name: MetricName, metric: MetricDefinition) -> Problem | None:
        """Check that a name has a member if its metric needs one, and one that the metric can have."""
        size = len(name.statistic)
        if metric.member is None:
            if name.member is None and not name.wildcard:
                return None
            message = f"{metric.name} describes the whole {_WHOLE_NAMES[self.scope]} and takes no column"
            return Problem(size, len(text) - size, "metric-member", message, f"write {metric.name}")
        what = MEMBER_NAMES[metric.member]
        if name.member is None:
            if name.wildcard:
                return None
            help_ = f"write {metric.name}.{MEMBER_SAMPLES[metric.member]}, or {metric.name}.* for all"
            return Problem(0, size, "metric-member", f"{metric.name} needs a {what} after a dot", help_)
        allowed = list_members(metric)
        if allowed is None or name.member in allowed:
            return None
        close = find_similar(METRIC_ALIASES.get(name.member, name.member), allowed)
        help_ = f"after {metric.name}. write one of {', '.join(allowed)}"
        if close:
            help_ = f'did you mean "{metric.name}.{close}"?'
        message = f"{metric.name} has no {what} {name.member!r}"
        return Problem(size + 1, len(text) - size - 1, "unknown-metric", message, help_)

    def _check_task(self, text: str, name: MetricName) -> Problem | None:
        """Check that the store has the model, and its model the task, that a metric needs."""
        metric = find_metric_definition(name, self.scope)
        if metric.exists_for(self.task):
            return None
        if self.task is None:
            message = f"{text} needs a model, but this store has none"
            help_ = "declare model: for the store, or remove the metric"
            return Problem(0, len(text), "metric-needs-model", message, help_)
        message = f"{text} exists for {' or '.join(metric.tasks)} only, but the task of the model is {self.task}"
        prefix = "" if name.member is None else f"{name.statistic}."
        existing = [prefix + one for one in METRICS_BY_TASK[self.task]]
        if metric.name.startswith("estimated_"):
            existing = [f"estimated_{one}" for one in ESTIMATED_BY_TASK[self.task]]
        return Problem(0, len(text), "metric-needs-task", message, f"for {self.task} there are {', '.join(existing)}")

    def _check_parts(self, text: str, metric: MetricDefinition) -> Problem | None:
        """Check the other requirements of a metric: a challenger, estimates, or a search for segments."""
        if metric.name == "found_segments" and self.segments is not None and not self.segments.found:
            message = "found_segments needs a search for segments, but this store has none"
            help_ = "add find_segments: true to the store, or remove the metric"
            return Problem(0, len(text), "needs-key", message, help_)
        if metric.name in CHALLENGER_METRICS and not self.challenged:
            message = f"{text} needs a challenger, but this store has none"
            help_ = "add challenger:, the model to compare with that of the store, or remove the metric"
            return Problem(0, len(text), "metric-needs-model", message, help_)
        if is_estimate(metric.name) and not self.estimated:
            message = f"{text} needs estimates, but this store makes none"
            return Problem(0, len(text), "needs-key", message, "add estimates: auto to the store, or remove the metric")
        return None
