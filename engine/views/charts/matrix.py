"""A heat map of counts: the predicted against the true values of a regression."""

from collections.abc import Sequence

from engine.formatting.numbers import format_figure
from engine.views.charts.svg import CHARACTER, Drawing, draw_labels


def draw_heatmap(edges: Sequence[float], counts: Sequence[Sequence[int]]) -> Drawing:
    """Draw the counts of predicted against true values, in bins between quantiles of both."""
    names = [f"≤ {format_figure(edge)}" for edge in edges[1:]] or [format_figure(edges[0])]
    left = 22 + max(map(len, names)) * 11 * CHARACTER
    side, bins = 280.0, len(names)
    cell = side / bins
    drawing = Drawing(left + side + 8, side + 60)
    most = max((rows for line in counts for rows in line), default=0) or 1
    for i, line in enumerate(counts):
        for j, rows in enumerate(line):
            if rows:
                title = f"{rows:,} rows: true {names[i]}, predicted {names[j]}"
                at = {"x": left + j * cell, "y": 20 + side - (i + 1) * cell, "width": cell, "height": cell}
                drawing.add("rect", **at, fill="batch", opacity=0.06 + 0.94 * (rows / most) ** 0.5, title=title)
    step = max(1, -(-bins * 16 // int(side)))
    for i in range(0, bins, step):
        drawing.add_text(left - 6, 20 + side - (i + 0.5) * cell + 4, names[i], anchor="end")
    draw_labels(drawing, [(left + (j + 0.5) * cell, name) for j, name in enumerate(names)], side + 36, (0, left + side))
    drawing.add_text(0, 11, "true")
    drawing.add_text(left + side / 2, side + 54, "predicted", anchor="middle")
    return drawing
