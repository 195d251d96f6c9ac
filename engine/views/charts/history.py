"""A metric over evaluations: its values with intervals, and the zones where a check warns or fails."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise

from engine.evaluation.bounds import AppliedRange
from engine.formatting.numbers import format_figure
from engine.spec.secrets.redaction import Redact
from engine.store import MetricPoint
from engine.views.charts.svg import (
    CHARACTER,
    PAGE_COLOURS,
    Colours,
    Drawing,
    Scale,
    clip_label,
    draw_labels,
    draw_value_axis,
)
from engine.views.evaluation_view import HistoryView
from engine.views.metric_text import format_metric
from engine.views.ranges import choose_scale, cut_zones, find_neutral

MOST_MARKED = 120
"""Maximum number of points that are marked; of more, only the line is drawn."""

MOST_LABELS = 24


def draw_history(
    history: HistoryView,
    evaluation: str,
    redact: Redact,
    colours: Colours = PAGE_COLOURS,
    size: tuple[int, int] = (330, 150),
) -> Drawing:
    """Draw a metric over evaluations, with a mark at the evaluation with the id `evaluation`.

    The shaded zones are those of its check, as applied to each evaluation. A dashed line is the value without drift.
    Evaluations with times are placed in time, a window at its start.
    """
    metric, points = history.metric, [point for point in history.points if point.value is not None]
    start, end = choose_scale(
        metric, set(history.ranges), [value for point in points for value in (point.value, point.low, point.high)]
    )
    drawing = Drawing(*size, colours)
    scale = Scale(start, end, size[1] - 24, 18)
    left = 12 + max(len(format_figure(tick)) for tick in scale.list_ticks(4)) * 11 * CHARACTER
    right = size[0] - 14
    places = _place_points(points, left + 8, right - 8)
    for applied, from_x, to_x in _join_ranges(history.ranges, places, left, right):
        for zone in cut_zones(applied, start, end):
            if zone.kind != "ok":
                top, bottom = scale.place(zone.end), scale.place(zone.start)
                at = {"x": from_x, "y": top, "width": to_x - from_x, "height": bottom - top}
                drawing.add("rect", **at, fill=zone.kind, opacity=0.13)
    draw_value_axis(drawing, scale, left, right, most=4)
    neutral = find_neutral(metric)
    if neutral is not None and start < neutral < end:
        y = scale.place(neutral)
        drawing.add("line", x1=left, x2=right, y1=y, y2=y, stroke="ok", stroke_dasharray="4 4", title="no drift")
        above = bool(points) and (points[0].value or 0.0) > neutral  # put the label where the line does not begin
        drawing.add_text(left + 2, y + 12 if above else y - 4, "no drift", fill="ok", size=10)
    drawing.add_path(
        ((x, scale.place(point.value or 0.0)) for x, point in zip(places, points, strict=True)),
        stroke="batch",
        stroke_width=2,
    )
    for x, point in zip(places, points, strict=True):
        _mark_point(drawing, scale, x, point, history, evaluation, redact, plain=len(points) > MOST_MARKED)
    some = range(len(points) - 1, -1, -max(1, len(points) // MOST_LABELS))  # includes the newest
    labels = [(places[index], _label_point(points[index], redact)) for index in reversed(some)]
    draw_labels(drawing, labels, size[1] - 6, (left - 8, size[0]))
    return drawing


def _mark_point(
    drawing: Drawing,
    scale: Scale,
    x: float,
    point: MetricPoint,
    history: HistoryView,
    evaluation: str,
    redact: Redact,
    *,
    plain: bool,
) -> None:
    y, is_here = scale.place(point.value or 0.0), point.evaluation == evaluation
    if plain and not is_here:
        return
    if point.low is not None and point.high is not None:
        ends = {"y1": scale.place(point.low), "y2": scale.place(point.high)}
        drawing.add("line", x1=x, x2=x, **ends, stroke="batch", stroke_width=5, opacity=0.35)
    text = format_metric(history.metric, point.value)
    title = f"{redact(point.name)}: {text}"
    if is_here:
        drawing.add("circle", cx=x, cy=y, r=5, fill="surface", stroke="batch", stroke_width=2.5, title=title)
        half = len(text) * 11 * CHARACTER / 2
        middle = min(max(x, half), drawing.width - half)
        drawing.add_text(middle, y - 11, text, anchor="middle", fill="ink", font_weight="bold")
    else:
        drawing.add("circle", cx=x, cy=y, r=3.3, fill="batch", title=title)


def _join_ranges(
    ranges: Sequence[AppliedRange | None], places: Sequence[float], left: float, right: float
) -> Iterator[tuple[AppliedRange, float, float]]:
    """Yield each range with the ends of its interval, halfway to the neighbouring points with another range."""
    cuts = [left, *((a + b) / 2 for a, b in pairwise(places)), right]
    for applied, part in groupby(zip(ranges, pairwise(cuts), strict=True), key=lambda one: one[0]):
        ends = [end for _, end in part]
        if applied is not None:
            yield applied, ends[0][0], ends[-1][1]


def _place_points(points: Sequence[MetricPoint], start: float, end: float) -> list[float]:
    """Return the places of points along the axis: by time if all have one, else evenly spaced."""
    if points and all(point.time for point in points):
        positions = [find_wall_time(point.time or "").timestamp() for point in points]
    else:
        positions = [float(index) for index in range(len(points))]
    if not positions or min(positions) == max(positions):
        return [(start + end) / 2] * len(positions)
    scale = Scale(min(positions), max(positions), start, end)
    return [scale.place(one) for one in positions]


def _label_point(point: MetricPoint, redact: Redact) -> str:
    name = redact(point.name)
    return clip_label(name if not point.time or len(name) < 12 else f"{find_wall_time(point.time):%Y-%m-%d}", 14)


def find_wall_time(text: str) -> datetime:
    """Return the declared time of an evaluation, or the start of its window, as local clock time."""
    return datetime.fromisoformat(text.partition(" to ")[0]).replace(tzinfo=UTC)
