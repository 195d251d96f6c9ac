"""Curves and points in a square: ROC, precision and recall, calibration, lift, and the importance of columns."""

from collections.abc import Callable, Sequence

from engine.formatting.numbers import format_figure, format_share
from engine.spec.secrets.redaction import Redact
from engine.views.charts.svg import CHARACTER, Drawing, Scale, clip_label, draw_value_axis
from engine.views.importance import ImportanceView

LABELLED_POINTS = 6
MOST_POINTS = 200


def draw_curve(
    across: tuple[str, Sequence[float]],
    up: tuple[str, Sequence[float]],
    *,
    line: tuple[float, float] | None = None,
    sizes: Sequence[int] | None = None,
    top: float = 1.0,
) -> Drawing:
    """Draw a curve over the range 0 to 1 of the horizontal axis.

    Parameters
    ----------
    across, up
        The name of each axis, and the values along it.
    line
        The heights of a dashed straight line at the left and the right end; None for no line.
    sizes
        The number of rows of each point; points are then marked.
    top
        The upper end of the vertical axis.
    """
    drawing, x, y = _draw_frame(across[0], up[0], (0.0, 1.0), (0.0, top), (300, 290))
    if line is not None:
        ends = {"y1": y.place(line[0]), "y2": y.place(line[1])}
        drawing.add("line", x1=x.start, x2=x.end, **ends, stroke="reference", stroke_dasharray="4 4")
    points = [(x.place(a), y.place(b)) for a, b in zip(across[1], up[1], strict=True)]
    drawing.add_path(points, stroke="batch", stroke_width=2)
    if sizes:
        most = max(sizes) or 1
        for (a, b), rows in zip(points, sizes, strict=True):
            radius = 2.5 + 5.5 * (rows / most) ** 0.5
            drawing.add("circle", cx=a, cy=b, r=radius, fill="batch", opacity=0.85, title=f"{rows:,} rows")
    return drawing


def draw_importance(importance: ImportanceView, redact: Redact) -> Drawing:
    """Draw the columns' importance in the drift model against their importance in the monitored model.

    Each adds up to 1. Columns above the average in both models are in the shaded quarter: drifted and important.
    """
    shown = sorted(importance.columns, key=lambda row: -(row.drift + (row.model or 0.0)))[:MOST_POINTS]
    limit = importance.average
    top = min(1.06, 1.12 * max([limit, *(row.drift for row in shown)]))
    right = min(1.06, 1.3 * max([limit, *(row.model or 0.0 for row in shown)]))
    names = ("importance in the model", "importance for distinguishing batch from reference")
    drawing, x, y = _draw_frame(*names, (0.0, right), (0.0, top), (470, 340), format_share)
    at = {"x": x.place(limit), "y": y.end, "width": x.end - x.place(limit), "height": y.place(limit) - y.end}
    drawing.add("rect", **at, fill="error", opacity=0.09)
    drawing.add_text(x.end - 6, y.end + 14, "drifted and important", anchor="end", fill="error")
    labelled = [row for row in shown if max(row.drift, row.model or 0.0) >= limit][:LABELLED_POINTS]
    for row in shown:
        a, b = x.place(row.model or 0.0), y.place(row.drift)
        title = f"{redact(row.name)}: {format_share(row.model)} in the model, {format_share(row.drift)} in the drift"
        fill = "batch" if row.is_drifted else "reference"
        drawing.add("circle", cx=a, cy=b, r=5, fill=fill, opacity=0.9, title=title)
        if row in labelled:
            name = clip_label(redact(row.name))
            half = len(name) * 11 * CHARACTER / 2
            drawing.add_text(min(max(a, half), drawing.width - half), b - 9, name, anchor="middle", fill="ink")
    return drawing


def _draw_frame(
    across: str,
    up: str,
    width: tuple[float, float],
    height: tuple[float, float],
    size: tuple[int, int],
    form: Callable[[float], str] = format_figure,
) -> tuple[Drawing, Scale, Scale]:
    """Return a drawing with two named axes, and their scales."""
    drawing = Drawing(*size)
    y = Scale(*height, size[1] - 42, 20)
    left = 12 + max(len(form(tick)) for tick in y.list_ticks()) * 11 * CHARACTER
    x = Scale(*width, left, size[0] - 12)
    draw_value_axis(drawing, y, left, x.end, form)
    for tick in x.list_ticks():
        drawing.add_text(x.place(tick), size[1] - 26, form(tick), anchor="middle")
    drawing.add_text(0, 11, up)
    drawing.add_text((x.start + x.end) / 2, size[1] - 7, across, anchor="middle")
    return drawing, x, y
