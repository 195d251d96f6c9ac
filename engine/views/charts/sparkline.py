"""A small line without axes: the newest values of a metric."""

import math
from collections.abc import Sequence

from engine.views.charts.svg import Drawing, Scale

WIDTH, HEIGHT = 120, 26


def draw_sparkline(values: Sequence[float | None]) -> Drawing:
    """Draw values, oldest first, with a mark at the newest; missing values are left out."""
    drawing = Drawing(WIDTH, HEIGHT)
    known = [(index, value) for index, value in enumerate(values) if value is not None and math.isfinite(value)]
    if len(known) < 2:
        return drawing
    x = Scale(known[0][0], known[-1][0], 2, WIDTH - 5)
    y = Scale(min(value for _, value in known), max(value for _, value in known), HEIGHT - 5, 5)
    points = [(x.place(index), y.place(value)) for index, value in known]
    drawing.add_path(points, stroke="batch", stroke_width=1.5)
    drawing.add("circle", cx=points[-1][0], cy=points[-1][1], r=3, fill="batch")
    return drawing
