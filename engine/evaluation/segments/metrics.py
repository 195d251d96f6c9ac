"""Names of segment metrics among the metrics of an evaluation, and the metrics grouped by segment."""

from collections.abc import Mapping
from typing import TypeVar

from engine.spec.metrics.names import MetricName, parse_metric_name

T = TypeVar("T")

PREFIX = "segment."
"""The prefix of the names of segment metrics."""


def write_segment_metric(segment: str, metric: str) -> str:
    """Return the name of a metric in a segment."""
    return f"{MetricName('', segment=segment)!s}{metric}"


def group_segment_metrics(metrics: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Return the metrics of each segment, by their names without the segment."""
    found: dict[str, dict[str, T]] = {}
    for name, value in metrics.items():
        if not name.startswith(PREFIX):
            continue
        parsed = parse_metric_name(name)
        if isinstance(parsed, MetricName) and parsed.segment is not None:
            inside = name.removeprefix(write_segment_metric(parsed.segment, ""))
            found.setdefault(parsed.segment, {})[inside] = value
    return found
