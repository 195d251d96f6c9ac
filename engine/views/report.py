"""One evaluation as one HTML file that loads nothing, fits a phone, and follows the reader's light or dark setting.

The template is ours, with autoescaping; texts of the data and the spec are values in it. A script of the page draws
the histograms from their numbers when they come into view: drawn in advance, two thousand columns would take two
megabytes. The page's content security policy allows this script and no other, so no text of the data can run.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from engine.drift import NOTABLE_DRIFT
from engine.evaluation.check_counts import sort_by_severity
from engine.evaluation.record import CheckResult
from engine.formatting.numbers import format_figure, format_number, format_p_value, format_share
from engine.formatting.templates import create_html_environment
from engine.outcome import CheckOutcome
from engine.spec.redaction import Redact, redact_values
from engine.views import charts
from engine.views.columns import ColumnView, describe_prediction_columns
from engine.views.facts import EvaluationFacts
from engine.views.performance import describe_performance
from engine.views.predictions import describe_predictions
from engine.views.ranges import choose_scale, cut_zones, format_bounds, select_value_range
from engine.views.summary import format_ends, format_metric, format_metric_name, summarize_evaluation

MOST_SHARES = 50
"""Classes whose predicted shares are listed."""

MOST_RESULTS, MOST_OK_RESULTS = 60, 8
"""Results of one check that are shown at most, and if fewer are not OK, results that are shown anyway."""


def render_page(facts: EvaluationFacts, redact: Redact = str) -> str:
    """Return the evaluation as an HTML page. `redact` masks secrets in every text."""
    here = Path(__file__).parent
    script = (here / "report.js").read_text(encoding="utf-8")
    templates = create_html_environment(here, redact)
    templates.filters |= {
        "figure": format_figure,
        "share": format_share,
        "p_value": format_p_value,
        "rounded": _sort_key,
    }
    columns = facts.sort_columns()
    return templates.get_template("report.html").render(
        facts=facts,
        evaluation=facts.evaluation,
        sentences=summarize_evaluation(facts),
        tiles=_build_tiles(facts),
        checks=_group_checks(facts),
        histories=_draw_histories(facts, redact),
        columns=columns,
        notable=NOTABLE_DRIFT,
        importance=_describe_importance(facts, redact),
        prediction=describe_predictions(facts.evaluation),
        most_shares=MOST_SHARES,
        performance=_compare_performance(facts),
        curves=_draw_curves(facts),
        confusion=_share_confusion(facts),
        residuals=facts.evaluation.performance.residuals,
        data=_embed_json(_collect_script_data(facts, columns), redact),
        style=Markup((here / "report.css").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
        script=Markup(script),  # noqa: S704  (our own file)
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _sort_key(value: float | None) -> str:
    """Return the value by which a table is sorted; a missing value comes last."""
    return "-1" if value is None else format_number(value)


def _build_tiles(facts: EvaluationFacts) -> list[dict[str, str]]:
    """Return the metrics at the top of the page."""
    leading = facts.find_leading_metric()
    wanted = dict.fromkeys(["data_drift", "drifted_columns", *facts.displayed, leading or "", "prediction_drift.drift"])
    tiles = []
    for metric in wanted:
        value = facts.find_value(metric)
        if value is None:
            continue
        measured = facts.evaluation.metrics[metric]
        note = ""
        change = facts.find_value(f"performance_change.{metric}")
        if metric == "drifted_columns":
            note = f"of {len(facts.evaluation.columns):,}, at {NOTABLE_DRIFT:g} or more"
        elif change is not None:
            within = "" if measured.low is None else f"{format_ends(metric, measured)}; "
            note = f"{within}{format_figure(abs(change))} {'below' if change < 0 else 'above'} the reference"
        elif metric == "data_drift":
            within = "" if measured.low is None else f"{format_ends(metric, measured)}; "
            note = f"{within}0.5 is none"
        elif metric == "prediction_drift.drift":
            note = "0 is none, 1 complete"
        outcomes = {c.counts_as for c in facts.checks if c.metric == metric}
        outcome = max(outcomes, key=list(CheckOutcome).index) if outcomes else ""
        title = "prediction drift" if metric == "prediction_drift.drift" else format_metric_name(metric)
        tiles.append(
            {"title": title, "value": format_metric(metric, value), "note": note, "outcome": str(outcome).lower()}
        )
    return tiles[:6]


def _group_checks(facts: EvaluationFacts) -> list[dict[str, Any]]:
    """Return the checks, the worst first, each with its results, the worst first."""
    by_name: dict[str, list[CheckResult]] = {}
    for result in sort_by_severity(facts.checks):
        by_name.setdefault(result.check, []).append(result)
    groups = []
    for name, results in by_name.items():
        fine = sum(result.counts_as is CheckOutcome.OK for result in results)
        shown = min(MOST_RESULTS, max(MOST_OK_RESULTS, len(results) - fine))
        described = [_describe_result(result) for result in results[:shown]]
        for repeated in [one for one in described if one["remark"]][1:]:
            repeated["remark"] = False  # what an OK leaves open is much the same for every column
        groups.append({"name": name, "fine": fine, "all": len(results), "results": described})
    return groups


def _describe_result(result: CheckResult) -> dict[str, Any]:
    description = {
        "metric": result.metric,
        "outcome": result.outcome,
        "value": format_metric(result.metric, result.value),
        "allowed": format_bounds(result.bounds).replace("_", " "),
        "reason": result.reason,
        # The reason of an OK says more than the mark on the scale.
        "remark": result.outcome is CheckOutcome.OK and bool(result.reason),
        "track": None,
    }
    applied = select_value_range(result.bounds)
    if result.value is None or applied is None:
        return description
    start, end = choose_scale(result.metric, applied, [result.value])

    def at(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - start) / (end - start))), 2)

    stretches = [
        {"kind": zone.kind, "left": at(zone.start), "width": round(at(zone.end) - at(zone.start), 2)}
        for zone in cut_zones(applied, start, end)
    ]
    return description | {
        "track": {"zones": stretches, "at": at(result.value), "start": format_figure(start), "end": format_figure(end)}
    }


def _draw_histories(facts: EvaluationFacts, redact: Redact) -> list[dict[str, Any]]:
    histories = []
    for metric in facts.list_followed_metrics():
        points = [point for point in facts.history.get(metric, ()) if point.value is not None]
        if len(points) > 1:
            values = ", ".join(f"{point.name} {format_metric(metric, point.value)}" for point in points[-12:])
            svg = charts.render_svg(charts.draw_history(metric, points, facts, redact))
            histories.append(
                {"title": format_metric_name(metric), "svg": svg, "text": f"{format_metric_name(metric)}: {values}"}
            )
    return histories


def _describe_importance(facts: EvaluationFacts, redact: Redact) -> dict[str, Any] | None:
    drift_importance, model_importance = facts.evaluation.importance.drift, facts.evaluation.importance.model
    if not drift_importance:
        return None
    limit, ranked = 1 / len(drift_importance), sorted(drift_importance, key=lambda name: -drift_importance[name])
    important = [name for name in ranked if drift_importance[name] >= limit]
    drifted = {name for name, _ in facts.list_drifted()}
    top = [(name, drift_importance[name]) for name in ranked[: charts.MOST_BARS]]
    chart = charts.draw_importance(facts, redact) if model_importance else charts.draw_bars(top, redact, format_share)
    return {
        "svg": charts.render_svg(chart),
        "text": "What tells batch and reference apart: "
        + ", ".join(f"{n} {format_share(drift_importance[n])}" for n in ranked[:10]),
        "has_model": bool(model_importance),
        "dangerous": [n for n in important if n in drifted and model_importance.get(n, 0) >= limit],
        "rows": [(name, drift_importance[name], model_importance.get(name)) for name in ranked[:20]],
        "significant": bool(facts.find_value("data_drift_significant")),
    }


def _compare_performance(facts: EvaluationFacts) -> list[dict[str, Any]]:
    rows = [
        {
            "name": format_metric_name(row.metric),
            "value": format_metric(row.metric, row.batch.value),
            "interval": format_ends(row.metric, row.batch) or row.batch.reason,
            "reason": row.batch.reason if row.batch.value is None else None,
            "reference": format_metric(row.metric, row.reference.value),
            "reference_interval": format_ends(row.metric, row.reference),
            "change": _format_change(row.metric, row.change.value),
            "change_interval": format_ends(row.metric, row.change),
            "sense": row.sense,
        }
        for row in describe_performance(facts.evaluation)
    ]
    return rows if any(row["reason"] is None for row in rows) else []


def _format_change(metric: str, change: float | None) -> str:
    return "" if change is None else f"{'+' if change > 0 else ''}{format_metric(metric, change)}"


def _draw_curves(facts: EvaluationFacts) -> list[dict[str, Any]]:
    detail = facts.evaluation.performance
    found = []
    if (roc := detail.roc) is not None:
        drawn = charts.draw_curve(
            ("false positive rate", roc.false_positive_rate),
            ("true positive rate", roc.true_positive_rate),
            diagonal=True,
        )
        found.append(
            ("ROC curve", f"area {format_figure(facts.find_value('roc_auc'))}; the diagonal is guessing", drawn)
        )
    if (curve := detail.precision_recall) is not None:
        drawn = charts.draw_curve(("recall", curve.recall), ("precision", curve.precision), diagonal=False)
        found.append(
            ("Precision and recall", f"average precision {format_figure(facts.find_value('average_precision'))}", drawn)
        )
    if (bins := detail.calibration) is not None:
        drawn = charts.draw_curve(
            ("probability", bins.probability), ("frequency", bins.frequency), diagonal=True, sizes=bins.rows
        )
        error = format_figure(facts.find_value("calibration_error"))
        found.append(("Calibration", f"predicted against true; error {error}", drawn))
    if (plot := detail.predicted_against_true) is not None:
        drawn = charts.draw_heatmap(plot.edges, plot.rows_true_columns_predicted)
        found.append(("Predicted against true", "rows by quantiles of both; the diagonal is right", drawn))
    return [{"title": title, "note": note, "svg": charts.render_svg(drawn)} for title, note, drawn in found]


def _share_confusion(facts: EvaluationFacts) -> dict[str, Any] | None:
    matrix = facts.evaluation.performance.confusion_matrix
    if matrix is None:
        return None
    rows = matrix.rows_true_columns_predicted
    totals = [max(1, sum(row)) for row in rows]
    shares = [[count / total for count in row] for row, total in zip(rows, totals, strict=True)]
    cells = [list(zip(row, part, strict=True)) for row, part in zip(rows, shares, strict=True)]
    return {"classes": matrix.classes, "rows": list(zip(matrix.classes, cells, strict=True))}


def _collect_script_data(facts: EvaluationFacts, columns: Sequence[ColumnView]) -> dict[str, Any]:
    """Return the data for the page's script: the histogram and the statistics of each column, as text.

    Many columns have the same statistics, so `statistics` holds each list of names once; a column has the index of its
    list and the values.
    """
    shapes: dict[tuple[str, ...], int] = {}
    return {
        "columns": [_collect_column(column, shapes) for column in columns],
        "predictions": [_collect_column(column, shapes) for column in describe_prediction_columns(facts.evaluation)],
        "statistics": list(map(list, shapes)),
    }


def _collect_column(column: ColumnView, shapes: dict[tuple[str, ...], int]) -> dict[str, Any]:
    histogram = column.histogram
    beside = {"other": histogram.other, "missing": histogram.missing}
    extra = {name: rows for name, rows in beside.items() if rows is not None and any(rows)}
    bins = (
        {"labels": [label[:80] for label in histogram.labels or ()]}
        if histogram.edges is None
        else {"edges": [format_figure(edge) for edge in histogram.edges]}
    )
    return bins | {
        "name": column.name,
        "extra": list(extra),
        "counts": [
            [*counts, *(rows[side] for rows in extra.values())]
            for side, counts in enumerate((histogram.reference, histogram.batch))
        ],
        "shape": shapes.setdefault(tuple(column.statistics), len(shapes)),
        "values": [
            format_metric(name, measured.value) if measured.value is not None else measured.reason or ""
            for name, measured in column.statistics.items()
        ],
    }


def _embed_json(value: Any, redact: Redact) -> Markup:
    """Return data for a script element, escaped so that nothing in it can end the element."""
    text = json.dumps(redact_values(value, redact), ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704
