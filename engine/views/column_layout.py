"""Layout of the compared columns of an evaluation for pages: with a drawing, and with all statistics."""

from typing import Any

from engine.spec.secrets.redaction import Redact
from engine.views.charts.histograms import draw_histogram, name_bins, share_bins
from engine.views.columns import ColumnView
from engine.views.metric_text import format_metric, format_metric_name


def draw_column(column: ColumnView, redact: Redact) -> str:
    """Return the distribution of a column as a small drawing, for a row of a table."""
    return draw_histogram(column.histogram, redact, small=True).render()


def lay_out_column(column: ColumnView, redact: Redact) -> dict[str, Any]:
    """Return the distribution of a column as a chart and as numbers, and its statistics as text."""
    shares = zip(name_bins(column.histogram, redact), share_bins(column.histogram), strict=True)
    return {
        "name": column.name,
        "svg": draw_histogram(column.histogram, redact).render(),
        "bins": [(name, reference, batch) for name, (reference, batch) in shares],
        "statistics": _pair_statistics(column),
    }


def _pair_statistics(column: ColumnView) -> list[dict[str, str]]:
    """Return the statistics as text; those of both sides share a row."""
    rows = []
    for name, measured in column.statistics.items():
        if name.startswith("reference_") and name.removeprefix("reference_") in column.statistics:
            continue
        before = column.statistics.get(f"reference_{name}")
        rows.append(
            {
                "name": format_metric_name(name),
                "reference": "" if before is None else format_metric(name, before.value),
                "value": measured.reason or "" if measured.value is None else format_metric(name, measured.value),
            }
        )
    return rows
