"""View models of evaluations, stores and runs as plain data; an evaluation also as an HTML page and as a chart.

The names are imported at first use: most runs draw no page and no chart.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.views.charts.overview import describe_overview, draw_overview
    from engine.views.evaluation_view import EvaluationView, describe_evaluation
    from engine.views.facts import EvaluationFacts
    from engine.views.report import render_page

_MODULES = {
    "EvaluationFacts": "facts",
    "EvaluationView": "evaluation_view",
    "describe_evaluation": "evaluation_view",
    "describe_overview": "charts.overview",
    "draw_overview": "charts.overview",
    "render_page": "report",
}

__all__ = [
    "EvaluationFacts",
    "EvaluationView",
    "describe_evaluation",
    "describe_overview",
    "draw_overview",
    "render_page",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"engine.views.{_MODULES[name]}"), name)
