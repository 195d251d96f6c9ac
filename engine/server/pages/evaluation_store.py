"""The pages of an evaluation store: its evaluations as a table and charts, comparisons, and removals."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from engine.evaluation.bounds import AppliedRange
from engine.evaluation.record import Evaluation, MetricValue
from engine.formatting.numbers import format_count
from engine.outcome import worst_check_outcome
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.callers import describe_caller
from engine.server.pages.kept_results import KeptResults
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.service.control import ServedProject
from engine.spec import ProjectSpec
from engine.spec.metrics.names import normalize_metric_name
from engine.spec.metrics.owner import MetricOwner
from engine.spec.problem import Problem
from engine.spec.secrets.redaction import Redact
from engine.store import EvaluationFilter, Store
from engine.views.charts.history import draw_history
from engine.views.evaluation_view import HistoryView
from engine.views.metric_text import (
    explain_metric,
    format_metric,
    format_metric_change,
    format_metric_interval,
    format_metric_name,
)
from engine.views.ranges import select_first_range
from engine.views.store_view import EvaluationRow, StoreView, describe_store

ROWS = 50
"""Most evaluations on one page."""

POINTS = 400
"""Most evaluations in a chart, the newest ones."""

MOST_METRICS = 12
"""Most metrics that are columns of the table."""

MOST_CHARTS = 8
MOST_COUNTED = 1000
"""Evaluations are counted up to this number; beyond it, the page says that there are more."""

SEARCHED = 2000
"""Evaluations that a search examines for one page; the next page continues with older ones."""

MOST_COMPARED = 6
DEFAULT_METRICS = ("data_drift", "drifted_columns")
"""The metrics that are shown for a store without `display: metrics`."""


@dataclass(frozen=True, slots=True)
class ServedStore:
    """An evaluation store of a served project, with the project's spec and state."""

    name: str
    project: ServedProject
    spec: ProjectSpec
    store: Store

    @classmethod
    def find(cls, requests: ProjectRequests, request: Request) -> "ServedStore":
        """Return the store of a request; raise AnswerError if there is none, or if its state is not open."""
        project, spec = requests.find_spec(request)
        name = request.path_params["store"]
        if name not in spec.evaluation_stores:
            raise AnswerError(404, f'the spec declares no evaluation store "{name[:60]}"')
        return cls(name, project, spec, requests.find_store(request))

    def link_evaluation(self, id_: str) -> str:
        """Return the address of an evaluation's page."""
        return links.build_link(links.EVALUATION, project=self.project.name, store=self.name, evaluation=id_)

    def find_id(self, text: str) -> str:
        """Return the id of the evaluation that a text means; raise AnswerError if there is none or several."""
        meant = self.store.evaluations.find_ids(self.name, text)
        if len(meant) != 1:
            raise AnswerError(404, f'{self.name} has no evaluation "{text[:60]}"', "it may have been removed")
        return meant[0]


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """A metric of several evaluations, side by side."""

    metric: str
    name: str
    values: tuple[MetricValue | None, ...]


@dataclass(frozen=True, slots=True)
class EvaluationStorePages:
    """The pages of an evaluation store, and the removal of evaluations. The last shown lists are cached."""

    requests: ProjectRequests
    redact: Redact
    kept: KeptResults[Page]

    def list_evaluations(self, request: Request) -> Page:
        """Return the evaluations of a store, newest first, and charts of the metrics that are displayed."""
        found = ServedStore.find(self.requests, request)
        name = (found.project.name, found.name, str(request.query_params))
        state = found.store.evaluations.mark_state()
        return self.kept.get(name, found.spec, state, lambda: self._list_evaluations(found, request))

    def _list_evaluations(self, found: ServedStore, request: Request) -> Page:
        metrics, asked = _read_metrics(request, found)
        before, superseded = request.query_params.get("before"), "superseded" in request.query_params
        every = EvaluationFilter(before=before, superseded=superseded, any_origin=True)
        wanted = request.query_params.get("find", "").strip()
        where, last = every, None
        if wanted:
            last = found.store.evaluations.find_last_of(found.name, SEARCHED, every)
            where = replace(_read_search(wanted, every), not_before=last)
        rows = found.store.evaluations.history(found.name, ROWS + 1, metrics=metrics, where=where)
        is_more, rows = len(rows) > ROWS, rows[-ROWS:]
        outcomes = found.store.checks.list_outcomes(found.name, [row.id for row in rows])
        view = describe_store(found.name, metrics, rows, outcomes)
        shown = replace(view, metrics=view.metrics[:MOST_METRICS], evaluations=view.evaluations[::-1])
        return Page(
            template="evaluation_store.html",
            title=found.name,
            content={
                "store": shown,
                "description": found.spec.evaluation_stores[found.name].description,
                "total": found.store.evaluations.count(
                    found.name, EvaluationFilter(any_origin=True, superseded=superseded), MOST_COUNTED + 1
                ),
                "metrics_left_out": len(view.metrics) - len(shown.metrics),
                "reasons": view.list_reasons(),
            },
            values={
                "store": found.name,
                "cells": [_format_row(row, shown.metrics) for row in shown.evaluations],
                "worst": [worst_check_outcome(row.outcomes.values()) for row in shown.evaluations],
                "labels": _list_labels(shown.evaluations),
                "headings": [format_metric_name(metric) for metric in shown.metrics],
                "charts": _draw_charts(found, shown.metrics, where, self.redact) if before is None else [],
                "most_counted": MOST_COUNTED,
                "searched": SEARCHED if last else None,
                "find": wanted,
                "asked": ", ".join(asked),
                "superseded": superseded,
                "older": rows[0].id if is_more else last,
                "is_first": before is None,
            },
            table=_tabulate(shown),
            project=found.project,
        )

    def compare_evaluations(self, request: Request) -> Page:
        """Return several evaluations side by side, oldest first: metrics and rows, and for two the change."""
        found = ServedStore.find(self.requests, request)
        ids = _read_chosen(request.query_params.getlist("evaluation"), found, MOST_COMPARED)
        chosen = sorted((found.store.evaluations.get(id_) for id_ in ids), key=lambda one: one.order)
        if len(chosen) < 2:
            back = "go back, and choose two to six evaluations of the table"
            raise AnswerError(422, "fewer than two evaluations are chosen", back)
        metrics, _ = _read_metrics(request, found)
        wanted = [*metrics, *_list_common_metrics(chosen)]
        rows = [
            ComparedMetric(metric, format_metric_name(metric), tuple(one.metrics.get(metric) for one in chosen))
            for metric in dict.fromkeys(wanted)
            if any(metric in one.metrics for one in chosen)
        ]
        return Page(
            template="compared_evaluations.html",
            title=f"{len(chosen)} evaluations of {found.name}",
            content={
                "evaluations": [{"id": one.id, "name": one.name, "rows": one.rows_used} for one in chosen],
                "metrics": rows,
            },
            values={
                "store": found.name,
                "evaluations": chosen,
                "cells": [[_format_cell(row.metric, value) for value in row.values] for row in rows],
                "changes": [_format_change(row) for row in rows] if len(chosen) == 2 else None,
                "addresses": [found.link_evaluation(one.id) for one in chosen],
            },
            table=Table(
                ("metric", *(f"{one.name} ({one.id})" for one in chosen)),
                [(row.metric, *(value.value if value else None for value in row.values)) for row in rows],
            ),
            project=found.project,
        )

    def ask_removal(self, request: Request) -> Page:
        """Return the page that asks for confirmation before evaluations are removed."""
        found = ServedStore.find(self.requests, request)
        ids = _read_chosen(request.query_params.getlist("evaluation"), found, ROWS)
        every = EvaluationFilter(called=ids, superseded=True, any_origin=True)
        chosen = found.store.evaluations.history(found.name, metrics=[], where=every)
        if not chosen:
            raise AnswerError(422, "no evaluation is chosen", "go back, and choose some of the table")
        return Page(
            template="removed_evaluations.html",
            title=f"Remove {format_count(len(chosen), 'evaluation')}",
            content={"evaluations": [{"id": one.id, "name": one.name} for one in chosen]},
            values={"store": found.name, "evaluations": chosen},
            project=found.project,
        )

    def remove_evaluations(self, request: Request, form: Mapping[str, str]) -> str:
        """Remove evaluations with their files, and record who did."""
        found = ServedStore.find(self.requests, request)
        ids = _read_chosen(form.get("evaluations", "").split(), found, ROWS)
        with found.store.locks.hold(f"evaluation store {found.name}", wait=False):
            found.store.evaluations.remove_ids(found.name, ids, describe_caller(request))
        return links.build_link(links.STORE, project=found.project.name, store=found.name)


def _read_metrics(request: Request, found: ServedStore) -> tuple[list[str], list[str]]:
    """Return the metrics to show, and the requested ones among them; by default those of `display:`."""
    declared = found.spec.evaluation_stores[found.name]
    asked = [
        name for text in request.query_params.getlist("metric") for name in map(str.strip, text.split(",")) if name
    ]
    if not asked:
        return [normalize_metric_name(metric) for metric in declared.display.metrics or DEFAULT_METRICS], []
    task = found.spec.models[declared.model].task if declared.model else None
    names = []
    for text in asked[:MOST_METRICS]:
        name = MetricOwner("store", task, declared.metrics).resolve(text)
        if isinstance(name, Problem):
            raise AnswerError(422, name.message, name.help or "")
        names.append(text if text in declared.metrics else str(name))
    return names, asked


def _read_search(text: str, every: EvaluationFilter) -> EvaluationFilter:
    """Return the filter for a search text: a part of a name, and `label=value` terms, separated by commas."""
    terms = [term.strip() for term in text.split(",") if term.strip()]
    described = {key.strip(): value.strip() for key, sign, value in (term.partition("=") for term in terms) if sign}
    if wrong := next((key for key in described if not key or re.search(r'["\\]', key)), None):
        raise AnswerError(422, f'"{wrong[:60]}" is not the name of a label', "write a label, =, and its value")
    names = [term for term in terms if "=" not in term]
    if len(names) > 1:
        raise AnswerError(422, "two parts of a name are to be found", "write one, and others as label=value")
    return replace(every, part_of_name=names[0] if names else None, described=described)


def _read_chosen(ids: Sequence[str], found: ServedStore, most: int) -> list[str]:
    distinct = list(dict.fromkeys(ids))
    if len(distinct) > most:
        raise AnswerError(422, f"{len(distinct)} evaluations are chosen", f"choose at most {most}")
    return [found.find_id(id_) for id_ in distinct]


def _list_common_metrics(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the metrics that are not about a single column, segment or class."""
    return [metric for one in evaluations for metric in one.metrics if "." not in metric]


def _list_labels(rows: Sequence[EvaluationRow]) -> list[str]:
    """Return the labels whose values differ from the names of their evaluations, at most 6."""
    names = dict.fromkeys(name for row in rows for name in row.labels)
    return [name for name in names if any(row.labels.get(name) != row.name for row in rows)][:6]


def _format_row(row: EvaluationRow, metrics: Sequence[str]) -> list[dict[str, str]]:
    return [_format_cell(metric, row.metrics.get(metric)) for metric in metrics]


def _format_cell(metric: str, value: MetricValue | None) -> dict[str, str]:
    if value is None:
        return {"value": "", "interval": "", "reason": ""}
    return {
        "value": "" if value.value is None else format_metric(metric, value.value),
        "interval": format_metric_interval(metric, value),
        "reason": value.reason or "",
    }


def _format_change(row: ComparedMetric) -> str:
    """Return the change of a metric from the first to the second evaluation; empty if a value is missing."""
    before, after = (value.value if value else None for value in row.values)
    if before is None or after is None:
        return ""
    return format_metric_change(row.metric, after - before)


def _draw_charts(
    found: ServedStore, metrics: Sequence[str], where: EvaluationFilter, redact: Redact
) -> list[dict[str, Any]]:
    """Return charts of metrics over the history of a store, with the allowed ranges of checks."""
    shown = metrics[:MOST_CHARTS]
    drawn = replace(where, superseded=False, any_origin=False)
    history = found.store.evaluations.list_points(found.name, shown, POINTS, drawn)
    ids = {point.evaluation for points in history.values() for point in points}
    applied = found.store.checks.list_bounds(found.name, shown, sorted(ids))
    charts = []
    for metric, every in history.items():
        points = tuple(point for point in every if point.value is not None)
        if len(points) > 1:
            ranges = tuple(select_first_range(applied.get((point.evaluation, metric), ())) for point in points)
            values = (f"{point.name} {format_metric(metric, point.value)}" for point in points[-12:])
            name = format_metric_name(metric)
            charts.append(
                {
                    "title": name,
                    "explanation": explain_metric(metric),
                    "svg": draw_history(HistoryView(metric, points, ranges), "", redact).render(),
                    "text": f"{name}: {', '.join(values)}",
                    "series": json.dumps([[point.moment.timestamp() for point in points], [p.value for p in points]]),
                    "limits": json.dumps(_list_limits(ranges)),
                }
            )
    return charts


def _list_limits(ranges: Sequence[AppliedRange | None]) -> dict[str, list[float | None]]:
    """Return the values of each bound at each point, by the key of the bound; None where it was not applied."""
    keys = dict.fromkeys(limit.key for one in set(ranges) if one for limit in one.limits)
    by_key = [{limit.key: float(limit.value) for limit in one.limits} if one else {} for one in ranges]
    return {key: [limits.get(key) for limits in by_key] for key in keys}


def _tabulate(view: StoreView) -> Table:
    labels = list(dict.fromkeys(name for row in view.evaluations for name in row.labels))
    checks = list(dict.fromkeys(name for row in view.evaluations for name in row.outcomes))
    return Table(
        ("id", "name", "time", "created", "rows", *(f"labels.{name}" for name in labels), *view.metrics,
         *(f"checks.{name}" for name in checks)),
        [
            (row.id, row.name, row.time.text if row.time else None, row.created, row.rows,
             *(row.labels.get(name) for name in labels),
             *(row.metrics[metric].value if metric in row.metrics else None for metric in view.metrics),
             *(row.outcomes.get(name) for name in checks))
            for row in view.evaluations
        ],
    )  # fmt: skip
