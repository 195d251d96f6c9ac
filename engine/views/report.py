"""One evaluation as one HTML file that loads nothing, fits a phone, and follows the reader's light or dark setting.

The template is ours, with autoescaping; texts of the data and the spec are values in it. A script of the page draws
the histograms from their numbers when they come into view: drawn in advance, two thousand columns would take two
megabytes. The page's content security policy allows this script and no other, so no text of the data can run.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from engine.formatting.numbers import format_figure, format_number
from engine.formatting.templates import create_html_environment
from engine.spec.redaction import Redact, redact_values
from engine.views.columns import ColumnView
from engine.views.evaluation_view import EvaluationView
from engine.views.layout import NUMBER_FILTERS, lay_out_evaluation
from engine.views.metric_text import format_metric


def render_page(view: EvaluationView, redact: Redact = str) -> str:
    """Return the evaluation as an HTML page. `redact` masks secrets in every text."""
    here = Path(__file__).parent
    script, style = ((here / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    templates = create_html_environment([here], redact)
    templates.filters |= {**NUMBER_FILTERS, "rounded": _sort_key}
    return templates.get_template("report.html").render(
        **lay_out_evaluation(view, redact),
        data=_embed_json(_collect_script_data(view), redact),
        style=Markup(style),  # noqa: S704  (our own file)
        style_hash=_hash_text(style),
        script=Markup(script),  # noqa: S704  (our own file)
        script_hash=_hash_text(script),
    )


def _hash_text(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _sort_key(value: float | None) -> str:
    """Return the value by which a table is sorted; a missing value comes last."""
    return "-1" if value is None else format_number(value)


def _collect_script_data(view: EvaluationView) -> dict[str, Any]:
    """Return the data for the page's script: the histogram and the statistics of each column, as text.

    Many columns have the same statistics, so `statistics` holds each list of names once; a column has the index of its
    list and the values.
    """
    shapes: dict[tuple[str, ...], int] = {}
    return {
        "columns": [_collect_column(column, shapes) for column in view.columns],
        "statistics": list(map(list, shapes)),
    }


def _collect_column(column: ColumnView, shapes: dict[tuple[str, ...], int]) -> dict[str, Any]:
    histogram = column.histogram
    beside = {"other": histogram.other, "missing": histogram.missing}
    extra = {name: rows for name, rows in beside.items() if rows is not None and any(rows)}
    bins = (
        {"labels": [label[:80] for label in histogram.labels or ()]}
        if histogram.edges is None
        else {"edges": [format_figure(edge) for edge in histogram.edges]}
    )
    return bins | {
        "name": column.name,
        "extra": list(extra),
        "counts": [
            [*counts, *(rows[side] for rows in extra.values())]
            for side, counts in enumerate((histogram.reference, histogram.batch))
        ],
        "shape": shapes.setdefault(tuple(column.statistics), len(shapes)),
        "values": [
            format_metric(name, measured.value) if measured.value is not None else measured.reason or ""
            for name, measured in column.statistics.items()
        ],
    }


def _embed_json(value: Any, redact: Redact) -> Markup:
    """Return data for a script element, escaped so that nothing in it can end the element."""
    text = json.dumps(redact_values(value, redact), ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704
