"""Bar charts of named values."""

from collections.abc import Callable, Sequence

from engine.drift import NOTABLE_DRIFT
from engine.spec.secrets.redaction import Redact
from engine.views.charts.svg import CHARACTER, PAGE_COLOURS, Colours, Drawing, Scale, clip_label

ROW = 24
"""Height of a bar, including the space around it."""


def draw_bars(
    rows: Sequence[tuple[str, float]],
    redact: Redact,
    form: Callable[[float], str],
    colours: Colours = PAGE_COLOURS,
    width: int = 460,
) -> Drawing:
    """Draw named values as bars in their order; values of at least NOTABLE_DRIFT have another colour."""
    drawing = Drawing(width, ROW * len(rows), colours)
    names = [clip_label(redact(name)) for name, _ in rows]
    left = 10 + min(170.0, max((len(name) for name in names), default=0) * 11 * CHARACTER)
    scale = Scale(0.0, max([0.2, *(value for _, value in rows)]), left, width - 56)
    for index, (name, (_, value)) in enumerate(zip(names, rows, strict=True)):
        y = index * ROW
        drawing.add_text(left - 8, y + 16, name, anchor="end", fill="ink")
        end = scale.place(value)
        fill = "batch" if value >= NOTABLE_DRIFT else "reference"
        drawing.add("rect", x=left, y=y + 5, width=end - left, height=14, rx=2, fill=fill)
        drawing.add_text(end + 5, y + 16, form(value), fill="ink")
    return drawing
