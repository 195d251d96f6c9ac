"""The layout of an evaluation as texts and charts, section by section, for the report and for a server's pages.

The sections are templates in the folder `sections`, which do not depend on the page around them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.drift import NOTABLE_DRIFT
from engine.evaluation.record import Evaluation, MetricValue
from engine.formatting.numbers import MISSING, format_figure, format_number, format_p_value, format_share
from engine.outcome import CheckOutcome
from engine.spec.secrets.redaction import Redact
from engine.views.challenger import ChallengerRow
from engine.views.charts.bars import draw_bars
from engine.views.charts.curves import draw_curve, draw_importance
from engine.views.charts.histograms import draw_histogram, name_bins, share_bins
from engine.views.charts.history import draw_history
from engine.views.charts.matrix import draw_heatmap
from engine.views.charts.overview import MOST_BARS
from engine.views.charts.svg import Drawing
from engine.views.checks import CheckGroup, CheckView
from engine.views.columns import ColumnView
from engine.views.estimates import EstimateRow
from engine.views.evaluation_view import EvaluationView
from engine.views.importance import ImportanceView
from engine.views.metric_text import explain_metric, format_metric, format_metric_interval, format_metric_name
from engine.views.performance import PerformanceRow
from engine.views.ranges import choose_scale, cut_zones, find_neutral, name_scale
from engine.views.segments import SegmentRow

MOST_SHARES = 50
"""Maximum number of classes whose predicted shares are listed."""

MOST_IMPORTANT = 20
"""Maximum number of columns whose importance is listed."""

MOST_RESULTS, MOST_OK_RESULTS = 25, 8
"""Maximum number of shown results of one check; and, if fewer are not OK, the number of results shown anyway."""

SPOKEN_BINS = 12
"""Maximum number of a histogram's bins in the text for readers who do not see it."""

NUMBER_FILTERS: Mapping[str, Callable[..., str]] = {
    "figure": format_figure,
    "share": format_share,
    "p_value": format_p_value,
}
"""Filters with which the templates of the sections format numbers."""


def lay_out_evaluation(view: EvaluationView, redact: Redact) -> dict[str, Any]:
    """Return the variables of the section templates. `redact` masks secrets in charts; templates do it for texts."""
    return {
        "view": view,
        "evaluation": view.evaluation,
        "checks": lay_out_checks(view.checks),
        "histories": _draw_histories(view, redact),
        "left_undrawn": _count_undrawn(view),
        "notable": NOTABLE_DRIFT,
        "importance": view.importance and _draw_importance(view.importance, redact),
        "most_important": MOST_IMPORTANT,
        "most_shares": MOST_SHARES,
        "fugacity": explain_metric("fugacity"),
        "predictions": view.prediction_columns and _lay_out_histogram(view.prediction_columns[-1], redact),
        "performance": list(map(_format_performance, view.performance)),
        "estimates": view.estimates and list(map(_format_estimate, view.estimates.rows)),
        "segments": view.segments and [_format_segment(row, view.segments.metric) for row in view.segments.rows],
        "challenger": view.challenger and list(map(_format_challenger, view.challenger.rows)),
        "curves": _draw_curves(view.evaluation),
        "confusion": _share_confusion(view.evaluation),
        "class_areas": sorted((view.evaluation.performance.roc_auc_by_class or {}).items(), key=lambda one: one[1]),
        "residuals": view.evaluation.performance.residuals,
    }


def _lay_out_histogram(column: ColumnView, redact: Redact) -> dict[str, Any]:
    """Return the distribution of a column as a chart and as text."""
    pairs = zip(name_bins(column.histogram, redact), share_bins(column.histogram), strict=True)
    said = [f"{name}: {format_share(a)} of the reference, {format_share(b)} of the batch" for name, (a, b) in pairs]
    text = f"{redact(column.name)}. {'; '.join(said[:SPOKEN_BINS])}"
    return {"name": column.name, "text": text, "svg": draw_histogram(column.histogram, redact).render()}


def lay_out_checks(groups: Sequence[CheckGroup]) -> list[dict[str, Any]]:
    """Return checks with the results that the page shows, each on the scale of its type of metric."""
    most = [min(MOST_RESULTS, max(MOST_OK_RESULTS, len(group.results) - group.passed)) for group in groups]
    shown = [group.results[:some] for group, some in zip(groups, most, strict=True)]
    of_kind: dict[tuple[str, ...], list[CheckView]] = {}
    for result in (one for results in shown for one in results):
        of_kind.setdefault(name_scale(result.metric, result.check), []).append(result)
    scales = {
        kind: choose_scale(found[0].metric, [one.value_range for one in found], [one.value for one in found])
        for kind, found in of_kind.items()
    }
    laid_out = []
    for group, results in zip(groups, shown, strict=True):
        rows = [_lay_out_result(one, scales[name_scale(one.metric, one.check)]) for one in results]
        for repeated in [one for one in rows if one["remark"]][1:]:
            repeated["told"] = repeated["allowed"]  # the remark on an OK is nearly the same for every column
        laid_out.append({"name": group.name, "fine": group.passed, "all": len(group.results), "results": rows})
    return laid_out


def _lay_out_result(result: CheckView, scale: tuple[float, float]) -> dict[str, Any]:
    allowed, reason = result.allowed.replace("_", " "), _cut_breach(result)
    says_more = bool(allowed and reason)
    return {
        "metric": format_metric_name(result.metric),
        "explanation": explain_metric(result.metric),
        "outcome": result.outcome,
        "value": result.value_text or MISSING,
        "allowed": allowed,
        "told": f"{allowed}; {reason}" if says_more else allowed or reason,
        # The reason of an OK has more information than the mark on the scale.
        "remark": result.outcome is CheckOutcome.OK and says_more,
        "track": _lay_out_scale(result, *scale),
    }


def _cut_breach(result: CheckView) -> str:
    """Return the reason of a result without the broken bound, which its scale shows."""
    limits = result.value_range.limits if result.value_range else ()
    for limit in limits:
        breach = f"{format_number(result.value)} is {limit.side} {format_number(limit.value)}"
        if result.reason.startswith(breach):
            return result.reason.removeprefix(breach).lstrip(";:, ")
    return result.reason


def _lay_out_scale(result: CheckView, start: float, end: float) -> dict[str, Any] | None:
    """Return a scale with the zones of a result, in per cent of its width; None if none can be drawn."""
    if result.value is None or result.value_range is None:
        return None

    def at(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - start) / (end - start))), 2)

    zones = [
        {"kind": zone.kind, "left": at(zone.start), "width": round(at(zone.end) - at(zone.start), 2)}
        for zone in cut_zones(result.value_range, start, end)
    ]
    neutral = find_neutral(result.metric)
    return {
        "zones": zones,
        "at": at(result.value),
        "neutral": at(neutral) if neutral is not None and start < neutral < end else None,
        "start": format_figure(start),
        "end": format_figure(end),
    }


def _draw_histories(view: EvaluationView, redact: Redact) -> list[dict[str, Any]]:
    histories = []
    for history in view.histories:
        if len(history.points) > 1:
            name = format_metric_name(history.metric)
            values = (f"{point.name} {format_metric(history.metric, point.value)}" for point in history.points[-12:])
            svg = draw_history(history, view.evaluation.id, redact).render()
            text, explanation = f"{name}: {', '.join(values)}", explain_metric(history.metric)
            histories.append({"title": name, "svg": svg, "text": text, "explanation": explanation})
    return histories


def _count_undrawn(view: EvaluationView) -> int:
    """Return the number of metrics with a failing check whose history is not drawn."""
    drawn = {history.metric for history in view.histories if len(history.points) > 1}
    left = {one.metric for group in view.checks for one in group.results if one.counts_as is not CheckOutcome.OK}
    return len(left - drawn - {""})


def _draw_importance(importance: ImportanceView, redact: Redact) -> dict[str, Any]:
    bars = [(row.name, row.drift) for row in importance.columns[:MOST_BARS]]
    chart = draw_importance(importance, redact) if importance.has_model else draw_bars(bars, redact, format_share)
    named = ", ".join(f"{row.name} {format_share(row.drift)}" for row in importance.columns[:10])
    return {"svg": chart.render(), "text": f"What distinguishes batch and reference: {named}"}


def _format_performance(row: PerformanceRow) -> dict[str, str | None]:
    change = row.change.value
    sign = "+" if change is not None and change > 0 else ""
    return {
        "name": format_metric_name(row.metric),
        "explanation": explain_metric(row.metric),
        "value": format_metric(row.metric, row.batch.value),
        "interval": format_metric_interval(row.metric, row.batch) or row.batch.reason,
        "reason": row.batch.reason if row.batch.value is None else None,
        "reference": format_metric(row.metric, row.reference.value),
        "reference_interval": format_metric_interval(row.metric, row.reference),
        "change": "" if change is None else f"{sign}{format_metric(row.metric, change)}",
        "change_interval": format_metric_interval(row.metric, row.change),
        "sense": row.sense,
    }


def _format_challenger(row: ChallengerRow) -> dict[str, str | None]:
    value = row.advantage.value
    sign = "+" if value is not None and value > 0 else ""
    return {
        "name": format_metric_name(row.metric),
        "explanation": explain_metric(row.metric),
        "reason": row.advantage.reason if value is None else None,
        "champion": format_metric(row.metric, row.champion.value),
        "champion_interval": format_metric_interval(row.metric, row.champion),
        "challenger": format_metric(row.metric, row.challenger.value),
        "challenger_interval": format_metric_interval(row.metric, row.challenger),
        "advantage": f"{sign}{format_metric(row.metric, value)}",
        "advantage_interval": format_metric_interval(row.metric, row.advantage) or row.advantage.reason,
        "verdict": row.verdict,
    }


def _format_segment(row: SegmentRow, metric: str | None) -> dict[str, str | None]:
    """Return a segment as texts; a segment that is too small has only the reason."""
    performance, change = row.performance or MetricValue(None), row.change or MetricValue(None)
    return {
        "name": row.name,
        "rows": f"{row.rows:,}",
        "reason": row.drift.reason if row.is_too_small else None,
        "drift": format_figure(row.drift.value),
        "moved": row.list_moved(),
        "performance": format_metric(metric, performance.value) if metric else "",
        "interval": format_metric_interval(metric, performance) if metric else "",
        "change": format_figure(change.value) if change.value is not None else "",
    }


def _format_estimate(row: EstimateRow) -> dict[str, str | None]:
    return {
        "name": format_metric_name(row.metric),
        "explanation": explain_metric(row.metric),
        "reason": row.estimated.reason if row.estimated.value is None else None,
        "estimated": format_metric(row.metric, row.estimated.value),
        "interval": format_metric_interval(row.metric, row.estimated) or row.estimated.reason,
        "realised": format_metric(row.metric, row.realised.value),
        "realised_interval": format_metric_interval(row.metric, row.realised),
    }


def _draw_curves(evaluation: Evaluation) -> list[dict[str, Any]]:
    detail = evaluation.performance
    found: list[tuple[str, str, Drawing]] = []
    if (roc := detail.roc) is not None:
        across = ("false positive rate", roc.false_positive_rate)
        drawn = draw_curve(across, ("true positive rate", roc.true_positive_rate), line=(0, 1))
        area = format_figure(evaluation.find_value("roc_auc"))
        found.append(("ROC curve", f"area {area}; the diagonal is guessing", drawn))
    if (curve := detail.precision_recall) is not None:
        drawn = draw_curve(("recall", curve.recall), ("precision", curve.precision))
        average = format_figure(evaluation.find_value("average_precision"))
        found.append(("Precision and recall", f"average precision {average}", drawn))
    if (bins := detail.calibration) is not None:
        drawn = draw_curve(
            ("probability", bins.probability), ("frequency", bins.frequency), line=(0, 1), sizes=bins.rows
        )
        error = format_figure(evaluation.find_value("calibration_error"))
        found.append(("Calibration", f"predicted against true; error {error}", drawn))
    if (plot := detail.predicted_against_true) is not None:
        drawn = draw_heatmap(plot.edges, plot.rows_true_columns_predicted)
        found.append(("Predicted against true", "rows by quantiles of both; the diagonal is right", drawn))
    return [{"title": title, "note": note, "svg": drawn.render()} for title, note, drawn in found]


def _share_confusion(evaluation: Evaluation) -> dict[str, Any] | None:
    matrix = evaluation.performance.confusion_matrix
    if matrix is None:
        return None
    rows = matrix.rows_true_columns_predicted
    totals = [max(1, sum(row)) for row in rows]
    shares = [[count / total for count in row] for row, total in zip(rows, totals, strict=True)]
    cells = [list(zip(row, part, strict=True)) for row, part in zip(rows, shares, strict=True)]
    return {"classes": matrix.classes, "rows": list(zip(matrix.classes, cells, strict=True))}
