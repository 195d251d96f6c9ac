"""Ranges as text and for drawing: the ends of a scale, and the zones of it that are OK, a warning or an error."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.formatting.numbers import format_number, format_seconds
from engine.spec.metric_names import MetricName, find_metric_definition, parse_metric_name

BOUND_NAMES = ("min", "soft_min", "soft_max", "max")


class ScaleZone(NamedTuple):
    """A part of a scale: ok, warning or error."""

    kind: str
    start: float
    end: float


def is_range(bounds: Mapping[str, Any]) -> bool:
    """Return whether these are bounds of a range, and not a set of values."""
    return bool(bounds) and all(name in BOUND_NAMES for name in bounds)


def choose_scale(metric: str, bounds: Mapping[str, Any], values: Iterable[float | None]) -> tuple[float, float]:
    """Return the ends of a scale that shows the values and the bounds with a margin, within the range of the metric."""
    points = [*map(float, bounds.values())] if is_range(bounds) else []
    points += [value for value in values if value is not None and math.isfinite(value)]
    name = parse_metric_name(metric)
    definition = find_metric_definition(name, "store") if isinstance(name, MetricName) else None
    if definition is not None and definition.neutral is not None:
        points.append(definition.neutral)
    low, high = (min(points), max(points)) if points else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    start, end = low - span * 0.35, high + span * 0.35
    if definition is not None and definition.low is not None and definition.low <= low:
        start = definition.low if low - definition.low < span * 1.5 else max(start, definition.low)
    if definition is not None and definition.high is not None and definition.high >= high:
        end = min(end, definition.high)
    return start, end


def cut_zones(bounds: Mapping[str, Any], start: float, end: float) -> list[ScaleZone]:
    """Cut a scale at the bounds: outside min and max error, outside soft_min and soft_max warning, else ok."""
    if not is_range(bounds):
        return []
    hard_low, hard_high = bounds.get("min", start), bounds.get("max", end)
    soft_low, soft_high = bounds.get("soft_min", hard_low), bounds.get("soft_max", hard_high)
    cuts: Sequence[float] = [start, hard_low, soft_low, soft_high, hard_high, end]
    kinds = ("error", "warning", "ok", "warning", "error")
    found = (ScaleZone(kind, max(a, start), min(b, end)) for kind, a, b in zip(kinds, cuts, cuts[1:], strict=False))
    return [zone for zone in found if zone.end > zone.start]


def format_bounds(range_: Mapping[str, object]) -> str:
    """Return the range or the allowed values of a check as text."""
    return ", ".join(
        f"{name} {format_checked(value, range_)}"
        for name, value in range_.items()
        if value is not None and name != "unit"
    )


def format_checked(value: object, range_: Mapping[str, object]) -> str:
    """Return the value of a check, or one of its bounds: as a duration if the metric is measured in seconds."""
    if isinstance(value, float) and range_.get("unit") == "seconds":
        return format_seconds(value)
    return format_number(value)
