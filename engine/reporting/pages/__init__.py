"""One evaluation as an HTML page in one file, and as a chart. Both are made from plain data alone."""

from engine.reporting.pages.charts import overview, overview_text
from engine.reporting.pages.facts import EvaluationFacts
from engine.reporting.pages.report import page

__all__ = ["EvaluationFacts", "overview", "overview_text", "page"]
