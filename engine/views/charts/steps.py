"""The steps of a run as bars on a time axis: start, duration and outcome of each."""

from engine.formatting.moments import format_second
from engine.formatting.numbers import format_duration
from engine.outcome import Outcome
from engine.spec.secrets.redaction import Redact
from engine.views.charts.bars import ROW
from engine.views.charts.svg import CHARACTER, Drawing, Scale, clip_label, draw_labels
from engine.views.charts.timeline import OUTCOME_FILLS
from engine.views.run_view import RunView, StepView

MOST_STEPS = 60
WIDTH = 760


def draw_steps(run: RunView, redact: Redact) -> Drawing:
    """Draw the first steps of a run, one below the other, from the start of the run to the end of the last of them."""
    timed = [(step, step.started, step.ended) for step in run.steps[:MOST_STEPS] if step.started and step.ended]
    drawing = Drawing(WIDTH, ROW * len(timed) + 22)
    names = [clip_label(redact(_name_step(step))) for step, _, _ in timed]
    left = 10 + max((len(name) for name in names), default=0) * 11 * CHARACTER
    last = max((ended for _, _, ended in timed), default=run.started)
    whole = max((last - run.started).total_seconds(), 0.1)
    scale = Scale(0.0, whole, left, WIDTH - 110.0)
    ticks = [(scale.place(one), f"{one:g} s" if whole < 10 else format_duration(one)) for one in scale.list_ticks(6)]
    for x, _ in ticks:
        drawing.add("line", x1=x, x2=x, y1=0, y2=ROW * len(timed), stroke="line")
    for index, (name, (step, started, ended)) in enumerate(zip(names, timed, strict=True)):
        y = index * ROW
        start, end = (scale.place((moment - run.started).total_seconds()) for moment in (started, ended))
        took = format_duration((ended - started).total_seconds())
        title = f"{name}: {step.outcome}, {format_second(started)}, {took}"
        drawing.add_text(left - 8, y + 16, name, anchor="end", fill="ink")
        at = {"x": start, "y": y + 5, "width": max(end - start, 2.0), "height": 14, "rx": 2}
        drawing.add("rect", **at, fill=OUTCOME_FILLS.get(step.outcome, "reference"), title=title)
        failed = "" if step.outcome in (Outcome.SUCCESS, Outcome.SKIPPED) else f" {step.outcome}"
        drawing.add_text(max(end, start + 2) + 5, y + 16, f"{took}{failed}")
    draw_labels(drawing, ticks, ROW * len(timed) + 15, (left - 20, WIDTH))
    return drawing


def _name_step(step: StepView) -> str:
    return f"{step.name} ({step.iteration})" if step.iteration else step.name
