"""One evaluation as an HTML page in one file, and as a chart. Both are made from plain data alone."""

from engine.views.charts import describe_overview, draw_overview
from engine.views.facts import EvaluationFacts
from engine.views.report import render_page

__all__ = ["EvaluationFacts", "describe_overview", "draw_overview", "render_page"]
