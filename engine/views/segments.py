"""View of the segments of an evaluation, declared or found: the worst first, with sentences about them."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from engine.evaluation.record import Evaluation, MetricValue
from engine.evaluation.segments.metrics import group_segment_metrics
from engine.formatting.lists import join_words
from engine.formatting.numbers import format_figure
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName, parse_metric_name
from engine.spec.segments import FOUND_SEGMENTS, read_found_condition
from engine.views.metric_text import format_metric, format_metric_interval, format_metric_name
from engine.views.performance import LEADING_METRICS

SHOWN_SEGMENTS = 3
"""Maximum number of segments named in a sentence."""
SHOWN_COLUMNS = 3
"""Maximum number of columns named per segment."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment.

    Attributes
    ----------
    drift
        Its largest drift, with the p-value adjusted for all tests; without a value, the reason.
    moved
        The columns that drifted in it, the most drifted first.
    performance, change
        The metric that represents the performance, and its change from the reference; None without a model.
    """

    name: str
    rows: int
    drift: MetricValue
    moved: tuple[tuple[str, float], ...]
    performance: MetricValue | None
    change: MetricValue | None

    @property
    def condition(self) -> str | None:
        """The condition of a found segment, ready for `segments:`; None for a declared one."""
        return read_found_condition(self.name)

    @property
    def is_too_small(self) -> bool:
        """Whether the segment has too few rows to be compared."""
        return self.drift.value is None

    def list_moved(self) -> str:
        """Return the most drifted columns, as text."""
        more = [f"{len(self.moved) - SHOWN_COLUMNS} more"] if len(self.moved) > SHOWN_COLUMNS else []
        return ", ".join([*(f"{name} {format_figure(drift)}" for name, drift in self.moved[:SHOWN_COLUMNS]), *more])


@dataclass(frozen=True, slots=True)
class SegmentsView:
    """The segments of an evaluation, the worst first; `metric` represents the performance, None without a model."""

    sentence: str
    metric: str | None
    rows: tuple[SegmentRow, ...]

    @property
    def is_notable(self) -> bool:
        """Whether a segment drifted, was found, or became significantly worse."""
        return any(row.drift.value or row.condition or _is_loss_certain(row, self.metric) for row in self.rows)

    def write_declaration(self) -> str:
        """Return the YAML of the spec that declares the found segments; empty if none was found."""
        found = [row.condition for row in self.rows if row.condition is not None]
        lines = [
            f"  - {{name: {json.dumps(one, ensure_ascii=False)}, where: {json.dumps(one, ensure_ascii=False)}}}"
            for one in found
        ]
        return "\n".join(["segments:", *lines]) if lines else ""


def describe_segments(evaluation: Evaluation, leading: str | None) -> SegmentsView | None:
    """Return the segments of an evaluation; None if its store neither declares nor searches for any.

    Parameters
    ----------
    leading
        The metric that represents the performance; None for the first one that has a value.
    """
    grouped = group_segment_metrics(evaluation.metrics)
    search = evaluation.metrics.get(FOUND_SEGMENTS)
    if not grouped and search is None:
        return None
    known = (leading, *LEADING_METRICS) if leading else LEADING_METRICS
    metric = next((one for one in known if any(one in metrics for metrics in grouped.values())), None)
    rows = sorted((_describe_segment(name, metrics, metric) for name, metrics in grouped.items()), key=_order(metric))
    declared = [row for row in rows if row.condition is None]
    sentences = [_summarize(declared, metric)] if declared else []
    sentences += [_summarize_search(search, [row for row in rows if row.condition], metric)] if search else []
    return SegmentsView(" ".join(sentences), metric, tuple(rows))


def _describe_segment(name: str, metrics: dict[str, MetricValue], metric: str | None) -> SegmentRow:
    drifts = ((parse_metric_name(one), value.value) for one, value in metrics.items() if one.startswith("drift."))
    moved = [(one.member or "", drift) for one, drift in drifts if isinstance(one, MetricName) and drift]
    return SegmentRow(
        name=name,
        rows=int(metrics["row_count"].value or 0),
        drift=metrics["segment_drift"],
        moved=tuple(sorted(moved, key=lambda one: -one[1])),
        performance=metrics.get(metric) if metric else None,
        change=metrics.get(f"performance_change.{metric}") if metric else None,
    )


def _measure_loss(row: SegmentRow, metric: str | None) -> float:
    """Return by how much the performance of a segment is worse than that of the reference; 0 if unknown."""
    change = row.change.value if row.change else None
    if change is None or metric is None:
        return 0.0
    return change if find_metric_definition(MetricName(metric), "store").worse == "higher" else -change


def _is_loss_certain(row: SegmentRow, metric: str | None) -> bool:
    """Return whether the whole interval of the change is on the worse side."""
    change = row.change
    if metric is None or change is None or change.low is None or change.high is None:
        return False
    worse = find_metric_definition(MetricName(metric), "store").worse
    return change.low > 0 if worse == "higher" else change.high < 0


def _order(metric: str | None) -> Callable[[SegmentRow], tuple[bool, float, bool, float]]:
    return lambda row: (
        row.is_too_small,
        -(row.drift.value or 0.0),
        not _is_loss_certain(row, metric),
        -_measure_loss(row, metric),
    )


def _summarize_search(search: MetricValue, found: list[SegmentRow], metric: str | None) -> str:
    """Return which segments the search found, or why it found none."""
    if search.value is None:
        return f"Segments: {search.reason}."
    if not found:
        return f"The search found no segment: {search.reason}."
    named = [
        f"{row.condition} ({join_words(list(filter(None, [row.list_moved(), _describe_loss(row, metric)])))})"
        for row in found[:SHOWN_SEGMENTS]
    ]
    named += [f"{len(found) - SHOWN_SEGMENTS} more"] if len(found) > SHOWN_SEGMENTS else []
    noun = "one segment, which nobody has" if len(found) == 1 else f"{len(found)} segments, which nobody has"
    return f"The search found {noun} declared: {join_words(named)}."


def _describe_loss(row: SegmentRow, metric: str | None) -> str:
    """Return the performance of a found segment and its change, if it is worse."""
    if metric is None or row.performance is None or _measure_loss(row, metric) <= 0:
        return ""
    change = format_figure(row.change.value if row.change else None)
    return f"{format_metric_name(metric)} {format_metric(metric, row.performance.value)}, a change of {change}"


def _summarize(rows: list[SegmentRow], metric: str | None) -> str:
    """Return which segments drifted, where the model became significantly worse, and how many are too small."""
    compared = [row for row in rows if not row.is_too_small]
    small = len(rows) - len(compared)
    too_small = f" {small} {'is' if small == 1 else 'are'} too small to compare." if small else ""
    if not compared:
        return f"None of the {len(rows)} segments has enough rows to be compared."
    drifted = [row for row in compared if row.drift.value]
    named = [f"{row.name} ({row.list_moved() or format_figure(row.drift.value)})" for row in drifted[:SHOWN_SEGMENTS]]
    named += [f"{len(drifted) - SHOWN_SEGMENTS} more"] if len(drifted) > SHOWN_SEGMENTS else []
    text = f"Of {len(compared)} segments none drifted."
    if drifted:
        text = f"Of {len(compared)} segments {len(drifted)} drifted: {join_words(named)}."
    certain = [row for row in compared if _is_loss_certain(row, metric)]
    worse = sorted(certain, key=lambda one: -_measure_loss(one, metric))
    if worse and metric:
        row = worse[0]
        value = row.performance or MetricValue(None)
        within = format_metric_interval(metric, value)
        more = f", and in {len(worse) - 1} more" if len(worse) > 1 else ""
        text += (
            f" {format_metric_name(metric)} is worse than the reference's in {row.name}: "
            f"{format_metric(metric, value.value)}{f' ({within})' if within else ''}, "
            f"a change of {format_figure(row.change.value if row.change else None)}{more}."
        )
    return f"{text}{too_small}"
