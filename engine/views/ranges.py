"""Ranges as text and for drawing: the ends of a scale, and its OK, warning and error zones."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.evaluation.bounds import AllowedValues, AppliedRange, CheckBounds
from engine.formatting.numbers import format_number, format_seconds
from engine.outcome import CheckOutcome
from engine.spec.metrics.definition import MetricDefinition
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName, parse_metric_name


class ScaleZone(NamedTuple):
    """A part of a scale: ok, warning or error."""

    kind: str
    start: float
    end: float


def select_value_range(bounds: CheckBounds | None) -> AppliedRange | None:
    """Return the bounds of a check if they are a range of the metric's value, which a scale can show; else None."""
    if isinstance(bounds, AppliedRange) and bounds.compare is None and not bounds.in_seconds:
        return bounds
    return None


def select_first_range(applied: Iterable[CheckBounds | None]) -> AppliedRange | None:
    """Return the first bounds that are a range of the metric's value; None if none is."""
    return next(filter(None, map(select_value_range, applied)), None)


def choose_scale(
    metric: str, ranges: Iterable[AppliedRange | None], values: Iterable[float | None]
) -> tuple[float, float]:
    """Return the ends of a scale that shows values and bounds with a margin, within the range of the metric."""
    points = [float(limit.value) for applied in ranges if applied for limit in applied.limits]
    points += [value for value in values if value is not None and math.isfinite(value)]
    definition = _find_definition(metric)
    if definition is not None and definition.neutral is not None:
        points.append(definition.neutral)
    low, high = (min(points), max(points)) if points else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    margin = max(span * 0.35, math.ulp(max(abs(low), abs(high))))  # 0.35 of the smallest spans rounds to nothing
    start, end = low - margin, high + margin
    if definition is not None and definition.low is not None and definition.low <= low:
        start = definition.low if low - definition.low < span * 1.5 else max(start, definition.low)
    if definition is not None and definition.high is not None and definition.high >= high:
        end = min(end, definition.high)
    return start, end


def find_neutral(metric: str) -> float | None:
    """Return the value of a metric without drift; None if undefined."""
    definition = _find_definition(metric)
    return None if definition is None else definition.neutral


def name_scale(metric: str, check: str) -> tuple[str, ...]:
    """Return the key of the metrics that share one scale, so that their marks can be compared by eye.

    For a metric with a known range it is the statistic; for others, such as means of columns, the check as well.
    """
    name, definition = parse_metric_name(metric), _find_definition(metric)
    if not isinstance(name, MetricName) or definition is None:
        return check, metric
    bounded = definition.low is not None and definition.high is not None
    inner = (name.member or "",) if definition.member in ("statistic", "performance") else ()
    return (name.statistic, *inner) if bounded else (name.statistic, *inner, check)


def _find_definition(metric: str) -> MetricDefinition | None:
    name = parse_metric_name(metric)
    return find_metric_definition(name, "store") if isinstance(name, MetricName) else None


def cut_zones(applied: AppliedRange | None, start: float, end: float) -> list[ScaleZone]:
    """Cut a scale at the bounds: outside the hard ones error, outside the soft ones warning, else ok."""
    if applied is None:
        return []
    hard, soft = (
        {limit.is_lower: limit.value for limit in applied.limits if limit.outcome is outcome}
        for outcome in (CheckOutcome.ERROR, CheckOutcome.WARNING)
    )
    hard_low, hard_high = hard.get(True, start), hard.get(False, end)
    soft_low, soft_high = soft.get(True, hard_low), soft.get(False, hard_high)
    cuts: Sequence[float] = [start, hard_low, soft_low, soft_high, hard_high, end]
    kinds = ("error", "warning", "ok", "warning", "error")
    found = (ScaleZone(kind, max(a, start), min(b, end)) for kind, a, b in zip(kinds, cuts, cuts[1:], strict=False))
    return [zone for zone in found if zone.end > zone.start]


def format_bounds(bounds: CheckBounds | None) -> str:
    """Return the bounds of a check as text; empty for None."""
    if bounds is None:
        return ""
    if isinstance(bounds, AllowedValues):
        soft = [] if bounds.soft_allowed is None else [f"soft_allowed {list(bounds.soft_allowed)}"]
        return ", ".join([f"allowed {list(bounds.allowed)}", *soft])
    settings = [] if bounds.compare is None else [f"compare {bounds.compare}", f"change {bounds.change}"]
    return ", ".join([*(f"{limit.key} {format_checked(limit.value, bounds)}" for limit in bounds.limits), *settings])


def format_checked(value: float, bounds: CheckBounds | None) -> str:
    """Return a check's value or bound as text: a duration if the metric is in seconds."""
    if isinstance(bounds, AppliedRange) and bounds.in_seconds:
        return format_seconds(value)
    return format_number(value)
