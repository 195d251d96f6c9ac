"""One evaluation as one HTML file that loads nothing, fits a phone, and follows the reader's light or dark setting.

The template is part of the engine and autoescapes; texts of the data and the spec are values in it. Of thousands of
columns the most drifted are shown in full, and of the others only the drift: everything would take megabytes. The
page's content security policy allows only its own script, so no text of the data can run.
"""

import base64
import hashlib
from pathlib import Path

from markupsafe import Markup

from engine.formatting.moments import format_minute
from engine.formatting.templates import create_html_environment
from engine.spec.secrets.redaction import Redact
from engine.views.column_layout import draw_column, lay_out_column
from engine.views.evaluation_view import EvaluationView
from engine.views.layout import NUMBER_FILTERS, lay_out_evaluation

DETAILED = 25
"""Number of columns shown in full."""


def render_page(view: EvaluationView, redact: Redact = str) -> str:
    """Return the evaluation as an HTML page. `redact` masks secrets in all texts."""
    here = Path(__file__).parent
    script, style = ((here / name).read_text(encoding="utf-8") for name in ("report.js", "report.css"))
    templates = create_html_environment([here], redact)
    templates.filters |= {**NUMBER_FILTERS, "minute": format_minute}
    shown = view.columns[:DETAILED]
    return templates.get_template("report.html").render(
        **lay_out_evaluation(view, redact),
        detailed=[(one, draw_column(one, redact), lay_out_column(one, redact)) for one in shown],
        others=view.columns[DETAILED:],
        style=Markup(style),  # noqa: S704  (a file of the engine)
        style_hash=_hash_text(style),
        script=Markup(script),  # noqa: S704  (a file of the engine)
        script_hash=_hash_text(script),
    )


def _hash_text(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
