"""What people see of evaluations, stores and runs, as plain data; and an evaluation as an HTML page, and as a chart."""

from engine.views.charts import describe_overview, draw_overview
from engine.views.evaluation_view import EvaluationView, describe_evaluation
from engine.views.facts import EvaluationFacts
from engine.views.report import render_page

__all__ = [
    "EvaluationFacts",
    "EvaluationView",
    "describe_evaluation",
    "describe_overview",
    "draw_overview",
    "render_page",
]
