"""Runs as bars, the newest on the right: the height is the duration, the colour the outcome."""

import math
from collections.abc import Sequence

from engine.formatting.numbers import format_duration
from engine.outcome import Outcome
from engine.views.charts.svg import Drawing
from engine.views.run_view import RunView

BAR = 15
HEIGHT = 70
OUTCOME_FILLS = {Outcome.SUCCESS: "ok", Outcome.WARNING: "warning", Outcome.FAILED: "error", Outcome.ABORTED: "error"}


def draw_timeline(runs: Sequence[RunView]) -> Drawing:
    """Draw runs, oldest first; heights are logarithmic in the seconds, and running runs are outlined."""
    drawing = Drawing(max(BAR * len(runs), 60), HEIGHT + 8)
    longest = max([2.0, *(run.seconds or 0.0 for run in runs)])
    for index, run in enumerate(runs):
        share = math.log1p(run.seconds or 0.0) / math.log1p(longest)
        height = 6 + share * (HEIGHT - 8)
        at = {"x": index * BAR + 1.5, "y": HEIGHT - height, "width": BAR - 3, "height": height, "rx": 2}
        took = "running" if run.seconds is None else format_duration(run.seconds)
        title = f"{run.started:%Y-%m-%d %H:%M} UTC: {run.state}, {took}"
        if run.ended is None:
            drawing.add("rect", **at, fill="none", stroke="batch", stroke_width=2, title=title)
            continue
        drawing.add("rect", **at, fill=OUTCOME_FILLS.get(Outcome(run.state), "reference"), title=title)
        if run.state in (Outcome.FAILED, Outcome.ABORTED):  # marked not by colour alone
            drawing.add_text(
                index * BAR + BAR / 2, HEIGHT + 8, "\N{MULTIPLICATION SIGN}", anchor="middle", fill="error"
            )
    drawing.add("line", x1=0, x2=drawing.width, y1=HEIGHT, y2=HEIGHT, stroke="line")
    return drawing
