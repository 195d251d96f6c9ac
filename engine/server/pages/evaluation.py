"""The pages of one evaluation: results, performance by threshold, and the drift of its columns."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from engine.evaluation.record import CheckResult, Evaluation
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.pages.child_commands import MOST_RESULTS, ChildCommands
from engine.server.pages.evaluation_store import ServedStore
from engine.server.pages.kept_results import KeptResults
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.spec.secrets.redaction import Redact
from engine.store import EvaluationFilter
from engine.store.transfer import read_evaluation
from engine.views.charts.curves import draw_curve
from engine.views.charts.histograms import draw_histogram
from engine.views.checks import select_latest
from engine.views.collection import collect_facts
from engine.views.column_layout import draw_column, lay_out_column
from engine.views.columns import ColumnView
from engine.views.evaluation_view import EvaluationView, describe_evaluation
from engine.views.layout import lay_out_evaluation
from engine.views.thresholds import ThresholdView, describe_thresholds

COLUMNS = 50
"""Most columns on one page."""

REFERENCES = 20
"""Most evaluations that are offered as references."""


@dataclass(frozen=True, slots=True)
class DrawnEvaluation:
    """The view of an evaluation and its drawn charts; each page shows parts of them."""

    view: EvaluationView
    laid_out: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EvaluationPages:
    """The pages of one evaluation. The last one is cached, because reading thousands of columns takes a second."""

    requests: ProjectRequests
    redact: Redact
    commands: ChildCommands
    kept: KeptResults[DrawnEvaluation]

    def show_evaluation(self, request: Request) -> Page:
        """Return an evaluation: summary, checks, history, predictions, performance, segments, origin."""
        found = ServedStore.find(self.requests, request)
        drawn = self._find_stored(found, request)
        view = drawn.view
        return Page(
            template="evaluation.html",
            title=view.evaluation.name,
            content=_list_content(view),
            values={**drawn.laid_out, "store": found.name},
            table=Table(
                ("metric", "value", "low", "high", "p_value", "reason"),
                (
                    (name, one.value, one.low, one.high, one.p_value, one.reason)
                    for name, one in view.evaluation.metrics.items()
                ),
            ),
            project=found.project,
        )

    def show_drift(self, request: Request) -> Page:
        """Return the drift of an evaluation: of the data, the columns and the predictions."""
        found, drawn = self._find_drawn(request)
        if drawn is None:
            return self._show_computation(request, found)
        view = drawn.view
        wanted = request.query_params.get("find", "").strip()
        columns = [one for one in view.columns if wanted.casefold() in one.name.casefold()]
        start = _read_start(request)
        shown = columns[start : start + COLUMNS]
        return Page(
            template="drift.html",
            title=f"Drift of {view.evaluation.name}",
            content={
                "evaluation": view.evaluation.id,
                "reference": view.reference,
                "data_drift": view.evaluation.metrics.get("data_drift"),
                "columns": shown,
                "all_columns": len(view.columns),
                "importance": view.importance,
                "prediction": view.prediction,
                "prediction_columns": view.prediction_columns,
            },
            values={
                **drawn.laid_out,
                "store": found.name,
                "drawn": [draw_column(column, self.redact) for column in shown],
                "predicted": [(one, lay_out_column(one, self.redact)) for one in view.prediction_columns],
                "find": wanted,
                "matching": len(columns),
                "start": start,
                "next_start": start + COLUMNS if start + COLUMNS < len(columns) else None,
                "last_start": max(0, start - COLUMNS) if start else None,
                **_offer_references(found, view.evaluation, request),
            },
            table=lambda: _tabulate_columns(columns),
            project=found.project,
        )

    def show_column(self, request: Request) -> Page:
        """Return a column of an evaluation: its distributions and all statistics of batch and reference."""
        found, drawn = self._find_drawn(request)
        if drawn is None:
            raise AnswerError(404, "this comparison is not computed yet", "the page of the drift computes it")
        view = drawn.view
        wanted = request.query_params.get("name", "")
        column = next((one for one in (*view.columns, *view.prediction_columns) if one.name == wanted), None)
        if column is None:
            raise AnswerError(404, f'no column "{wanted[:60]}" was compared', "the page of the drift lists them")
        return Page(
            template="column.html",
            title=column.name,
            content=column,
            values={
                "store": found.name,
                "evaluation": view.evaluation,
                "detail": lay_out_column(column, self.redact),
                "is_part": request.headers.get("hx-request") == "true",
            },
            table=Table(
                ("statistic", "value", "low", "high", "p_value", "reason"),
                [
                    (name, one.value, one.low, one.high, one.p_value, one.reason)
                    for name, one in column.statistics.items()
                ],
            ),
            project=found.project,
        )

    def compute(self, request: Request, form: Mapping[str, str]) -> str:
        """Compare an evaluation with another reference, in a process; the page of the drift shows the result."""
        found = ServedStore.find(self.requests, request)
        evaluation = self._read(found, request)
        reference = form.get("reference", "")
        if reference not in dict(_list_references(found, evaluation)):
            raise AnswerError(422, "there is no such reference", "choose one of the list")
        arguments = ("-m", "engine.api.comparison_process", str(found.project.path), found.name, evaluation.id)
        if not self.commands.start(
            _name_comparison(found, evaluation, reference), [*arguments, reference], found.project
        ):
            raise AnswerError(503, "too many comparisons wait already", "try it again in a minute")
        names = {"project": found.project.name, "store": found.name, "evaluation": evaluation.id}
        return links.build_link(links.DRIFT, {"reference": reference}, **names)

    def _find_drawn(self, request: Request) -> tuple[ServedStore, DrawnEvaluation | None]:
        """Return an evaluation, or its comparison with another requested reference; None until that is computed."""
        found = ServedStore.find(self.requests, request)
        reference = request.query_params.get("reference")
        if not reference:
            return found, self._find_stored(found, request)
        evaluation = self._read(found, request)
        result = self.commands.find(_name_comparison(found, evaluation, reference))
        if result is None or not result.done() or result.result().problem:
            return found, None
        computed = replace(read_evaluation(result.result().output, evaluation.id).evaluation, id=evaluation.id)
        return found, self._draw(found, computed, [])

    def _read(self, found: ServedStore, request: Request) -> Evaluation:
        """Return the record of an evaluation, without its details and metrics."""
        every = EvaluationFilter(
            called=[found.find_id(request.path_params["evaluation"])], superseded=True, any_origin=True
        )
        return found.store.evaluations.history(found.name, 1, metrics=[], where=every)[0]

    def _find_stored(self, found: ServedStore, request: Request) -> DrawnEvaluation:
        id_ = found.find_id(request.path_params["evaluation"])

        def draw() -> DrawnEvaluation:
            points = select_latest(found.store.checks.history(found.name, evaluation=id_))
            checks = [point.result for point in points]
            return self._draw(found, found.store.evaluations.get(id_), checks)

        state = found.store.evaluations.mark_state()
        return self.kept.get((found.project.name, found.name, id_), found.spec, state, draw)

    def _draw(self, found: ServedStore, evaluation: Evaluation, checks: Sequence[CheckResult]) -> DrawnEvaluation:
        view = describe_evaluation(collect_facts(evaluation, checks, found.spec, found.store))
        if view.run_url is not None and evaluation.run is not None:
            view = replace(view, run_url=links.build_link(links.RUN, project=found.project.name, run=evaluation.run))
        thresholds = describe_thresholds(evaluation)
        shown = thresholds and self._lay_out_thresholds(thresholds)
        return DrawnEvaluation(view, {**lay_out_evaluation(view, self.redact), "thresholds": shown})

    def _show_computation(self, request: Request, found: ServedStore) -> Page:
        """Return the page of a comparison that is running, has failed, or was not requested yet."""
        evaluation = self._read(found, request)
        reference = request.query_params["reference"]
        result = self.commands.find(_name_comparison(found, evaluation, reference))
        is_running = result is not None and not result.done()
        problem = result.result().problem if result is not None and result.done() else ""
        return Page(
            template="computation.html",
            title=f"Drift of {evaluation.name}",
            content={"evaluation": evaluation.id, "reference": reference, "running": is_running, "problem": problem},
            values={
                "store": found.name,
                "before": self.commands.count_before(_name_comparison(found, evaluation, reference)),
                "kept": MOST_RESULTS,
                **_offer_references(found, evaluation, request),
            },
            project=found.project,
        )

    def _lay_out_thresholds(self, view: ThresholdView) -> dict[str, Any]:
        selected = [(row.selected or 0.0, row.lift) for row in view.rows if row.lift is not None]
        top = max([1.0, *(lift for _, lift in selected)])
        lift = draw_curve(
            ("share of rows predicted positive", [share for share, _ in selected]),
            ("lift", [lift for _, lift in selected]),
            line=(1, 1),
            top=top * 1.05,
        )
        step = max(1, len(view.rows) // 20)
        counts = [
            [row.threshold, row.true_positive, row.false_positive, row.false_negative, row.true_negative]
            for row in reversed(view.rows)
        ]
        return {
            "positive": view.positive,
            "in_use": view.in_use,
            "rows": view.rows[::step],
            "counts": json.dumps(counts),
            "index": len(view.rows) - 1 - view.rows.index(view.in_use),
            "last": len(view.rows) - 1,
            "lift": lift.render(),
            "density": draw_histogram(view.density, self.redact).render(),
        }


def _name_comparison(found: ServedStore, evaluation: Evaluation, reference: str) -> tuple[str, ...]:
    return "compare", found.project.name, found.name, evaluation.id, reference


def _list_references(found: ServedStore, evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the possible references of an evaluation: the name for a request, and a description."""
    others = found.store.evaluations.history(found.name, REFERENCES + 1, metrics=[])
    declared = found.spec.evaluation_stores[found.name]
    of_model = [("model_test", f"the held-out rows of model {declared.model}")] if declared.model else []
    datasets = [(f"dataset:{name}", f"dataset {name}") for name in found.spec.datasets if name != declared.dataset]
    evaluations = [(one.id, f"evaluation {one.name}") for one in reversed(others) if one.id != evaluation.id]
    return [*of_model, *evaluations, *datasets]


def _offer_references(found: ServedStore, evaluation: Evaluation, request: Request) -> dict[str, Any]:
    return {
        "references": _list_references(found, evaluation),
        "chosen": request.query_params.get("reference", ""),
        "compute": links.build_link(
            links.COMPUTE, project=found.project.name, store=found.name, evaluation=evaluation.id
        ),
    }


def _list_content(view: EvaluationView) -> dict[str, Any]:
    """Return the content of an evaluation's page as data, without the columns, which have a separate page."""
    evaluation: Evaluation = view.evaluation
    return {
        "id": evaluation.id,
        "name": evaluation.name,
        "store": evaluation.store,
        "outcome": view.outcome,
        "summary": view.summary.sentences,
        "reference": view.reference,
        "headlines": view.headlines,
        "checks": view.checks,
        "performance": view.performance,
        "segments": view.segments,
        "estimates": view.estimates,
        "challenger": view.challenger,
        "metrics": evaluation.metrics if len(evaluation.metrics) <= 2000 else None,
        "labels": evaluation.labels,
        "time": evaluation.time,
        "created": evaluation.created,
        "rows": {"read": evaluation.rows_read, "used": evaluation.rows_used, "reference": evaluation.reference_rows},
        "notes": evaluation.notes,
    }


def _tabulate_columns(columns: Sequence[ColumnView]) -> Table:
    statistics = list(dict.fromkeys(name for column in columns for name in column.statistics))
    return Table(
        ("column", "role", "drift", "drift_p", "drift_importance", "model_importance", *statistics, "reason"),
        (
            (one.name, one.role, one.drift, one.drift_p, one.drift_importance, one.model_importance,
             *(one.find_statistic(name) for name in statistics), one.reason)
            for one in columns
        ),
    )  # fmt: skip


def _read_start(request: Request) -> int:
    text = request.query_params.get("start", "0")
    if not text.isdecimal() or len(text) > 6:
        raise AnswerError(422, '"start" is not valid', "write the number of the first column to show, from 0")
    return int(text)
