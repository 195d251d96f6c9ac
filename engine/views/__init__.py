"""View models of evaluations, stores and runs as plain data; an evaluation also as an HTML page and as a chart.

The names are imported at first use: most runs draw no page and no chart.
"""

from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily

if TYPE_CHECKING:
    from engine.views.charts.overview import describe_overview, draw_overview
    from engine.views.evaluation_view import EvaluationView, describe_evaluation
    from engine.views.facts import EvaluationFacts
    from engine.views.report import render_page

_LAZY_EXPORTS = {
    "EvaluationFacts": "facts",
    "EvaluationView": "evaluation_view",
    "describe_evaluation": "evaluation_view",
    "describe_overview": "charts.overview",
    "draw_overview": "charts.overview",
    "render_page": "report",
}
__getattr__, __dir__ = export_lazily(__name__, _LAZY_EXPORTS)

__all__ = [
    "EvaluationFacts",
    "EvaluationView",
    "describe_evaluation",
    "describe_overview",
    "draw_overview",
    "render_page",
]
