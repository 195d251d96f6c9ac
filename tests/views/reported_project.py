"""A project whose names are hostile, and the pages of its evaluations."""

import dataclasses
import html.parser
from pathlib import Path

from engine.evaluation.detail import ColumnImportance
from engine.evaluation.record import Evaluation, MetricValue
from engine.pipeline.reports import collect_report_facts
from engine.scenarios import session
from engine.spec import load
from engine.views import EvaluationFacts, EvaluationView, describe_evaluation

OWNED = "document.title='owned'"

COLUMN = f"</script><script>{OWNED}</script><img src=x onerror={OWNED}>"

NAME = f"Q2 <img src=x onerror={OWNED}>"

PLANTED = "Zq7<pl&nted>\"secret'"


def facts(project: Path, store: str, name: str = NAME, **changes: object) -> EvaluationFacts:
    with session.open_session(load(project, environ={}), environ={}) as context:
        evaluation = context.store.evaluations.find_by_name(store, name)
        assert evaluation is not None
        return collect_report_facts(dataclasses.replace(evaluation, **changes), context)


def view(project: Path, store: str) -> EvaluationView:
    return describe_evaluation(facts(project, store))


class Reader(html.parser.HTMLParser):
    """Counts elements, and keeps what a page would load and what it says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: dict[str, int] = {}
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        assert not [name for name, _ in attrs if name.startswith("on")], attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += f"{data} "


def many(evaluation: Evaluation, columns: int, name: str = "column") -> dict[str, object]:
    """Give an evaluation many columns, alike but for their names and drift."""
    each = list(evaluation.columns)
    measured = evaluation.group_column_metrics()
    sources = {f"{name} {i:04}": each[i % len(each)] for i in range(columns)}
    metrics = {
        f"{statistic}.{name}": metric
        for name, source in sources.items()
        for statistic, metric in measured[source].items()
    }
    importance = dict.fromkeys(sources, 1 / columns)
    return {
        "columns": {name: evaluation.columns[source] for name, source in sources.items()},
        "metrics": {
            **evaluation.metrics, **metrics,
            **{f"drift.{name}": MetricValue(i / columns) for i, name in enumerate(sources)},
        },
        "importance": ColumnImportance(importance, importance),
    }  # fmt: skip
