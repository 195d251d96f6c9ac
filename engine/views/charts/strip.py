"""A sequence of outcomes as small squares, the newest on the right."""

from collections.abc import Sequence

from engine.outcome import CheckOutcome
from engine.views.charts.svg import Drawing

SQUARE = 12
_FILLS = {CheckOutcome.OK: "ok", CheckOutcome.WARNING: "warning", CheckOutcome.ERROR: "error"}
_HEIGHTS = {CheckOutcome.OK: 6, CheckOutcome.EMPTY: 3, CheckOutcome.WARNING: 10, CheckOutcome.ERROR: 14}


def draw_strip(outcomes: Sequence[tuple[str, CheckOutcome | None]]) -> Drawing:
    """Draw outcomes, each with its title; None is a dot. Worse outcomes are higher as well as redder."""
    drawing = Drawing(SQUARE * max(1, len(outcomes)), 16)
    for index, (name, outcome) in enumerate(outcomes):
        if outcome is not None:
            height = _HEIGHTS[outcome]
            at = {"x": index * SQUARE + 1, "y": 15 - height, "width": SQUARE - 2, "height": height}
            drawing.add("rect", **at, rx=1.5, fill=_FILLS.get(outcome, "reference"), title=f"{name}: {outcome}")
        else:
            drawing.add("circle", cx=(index + 0.5) * SQUARE, cy=13.5, r=1.3, fill="reference", title=f"{name}: none")
    return drawing
