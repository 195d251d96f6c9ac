"""The metrics of segments among those of an evaluation: their names, and the metrics of each segment by itself."""

from collections.abc import Mapping
from typing import TypeVar

from engine.spec.metrics.names import MetricName, parse_metric_name

T = TypeVar("T")

PREFIX = "segment."
"""How the names of the metrics of segments begin."""


def write_segment_metric(segment: str, metric: str) -> str:
    """Return the name of a metric in a segment."""
    return f"{MetricName('', segment=segment)!s}{metric}"


def group_segment_metrics(metrics: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Return the metrics of each segment by the names that they would have of the whole batch."""
    found: dict[str, dict[str, T]] = {}
    for name, value in metrics.items():
        if not name.startswith(PREFIX):
            continue
        parsed = parse_metric_name(name)
        if isinstance(parsed, MetricName) and parsed.segment is not None:
            inside = name.removeprefix(write_segment_metric(parsed.segment, ""))
            found.setdefault(parsed.segment, {})[inside] = value
    return found
