"""One evaluation for people: as a page that needs nothing but itself, and as a chart.

The facts come in as plain data, like a message's: the page reaches back into nothing.
"""

from engine.reporting.pages.charts import overview as chart
from engine.reporting.pages.charts import overview_text as chart_text
from engine.reporting.pages.facts import EvaluationFacts
from engine.reporting.pages.report import page

__all__ = ["EvaluationFacts", "chart", "chart_text", "page"]
