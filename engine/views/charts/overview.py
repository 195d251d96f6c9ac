"""One evaluation as one picture for mails: a metric over time, and the drift of the columns."""

from engine.formatting.numbers import format_figure
from engine.spec.secrets.redaction import Redact
from engine.views.charts.bars import ROW, draw_bars
from engine.views.charts.history import draw_history
from engine.views.charts.svg import PRINT_COLOURS, Drawing, clip_label
from engine.views.evaluation_view import EvaluationView
from engine.views.metric_text import format_metric_name

MOST_BARS = 8
MARGIN = 16


def draw_overview(view: EvaluationView, redact: Redact) -> bytes:
    """Draw the evaluation as one PNG on white, with two pixels per unit."""
    import vl_convert  # 30 MB that a run without charts need not load

    evaluation = view.evaluation
    columns = [(column.name, column.drift or 0.0) for column in view.columns[:MOST_BARS]]
    size = (380, 40 + ROW * max(4, len(columns)))
    parts: list[tuple[str, Drawing]] = [
        (redact(format_metric_name(history.metric)), draw_history(history, evaluation.id, redact, PRINT_COLOURS, size))
        for history in view.histories[:1]
    ]
    if columns:
        parts.append(("Drift of the columns", draw_bars(columns, redact, format_figure, PRINT_COLOURS, 380)))
    width = 2 * MARGIN + sum(drawing.width + MARGIN for _, drawing in parts) if parts else 400
    whole = Drawing(width, 96 + max([40, *(drawing.height for _, drawing in parts)]) + MARGIN, PRINT_COLOURS)
    whole.add("rect", width=whole.width, height=whole.height, fill="surface")
    title = clip_label(redact(evaluation.name)) + (f": {view.outcome}" if view.outcome else "")
    whole.add_text(MARGIN, 30, title, fill="ink", size=16, font_weight="bold")
    rows = f"{redact(view.project)}, {redact(evaluation.store)}: {format_figure(evaluation.rows_used)} rows"
    whole.add_text(MARGIN, 50, rows, size=12)
    left = MARGIN
    for name, drawing in parts:
        whole.add_text(left, 82, name, fill="ink", size=13, font_weight="bold")
        whole.add_drawing(left, 92, drawing)
        left += int(drawing.width) + MARGIN
    return vl_convert.svg_to_png(str(whole.render()), scale=2)


def describe_overview(view: EvaluationView) -> str:
    """Return the overview as text, for readers who do not see the picture."""
    drifted = [f"{column.name} {format_figure(column.drift)}" for column in view.list_drifted()[:3]]
    data_drift = format_figure(view.evaluation.find_value("data_drift"))
    return f"Drift: {', '.join(drifted) or 'no column drifted'}. Data drift {data_drift}."
