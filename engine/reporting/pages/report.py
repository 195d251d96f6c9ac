"""One evaluation as one HTML file that loads nothing, fits a phone, and follows the reader's light or dark setting.

The template is ours, with autoescaping; texts of the data and the spec are values in it. A script of the page draws
the histograms from their numbers when they come into view: drawn in advance, two thousand columns would take two
megabytes. The page's content security policy allows this script and no other, so no text of the data can run.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from engine.evaluation.record import CheckResult
from engine.formatting.numbers import format_figure, format_number, format_p_value, format_share
from engine.formatting.templates import create_html_environment
from engine.outcome import CheckOutcome
from engine.reporting.facts import bounds, worst_first
from engine.reporting.pages import charts
from engine.reporting.pages.facts import NOTABLE, PERFORMANCE, EvaluationFacts
from engine.reporting.pages.ranges import is_range, scale, zones
from engine.reporting.pages.words import metric_title, metric_value, sentences
from engine.spec.catalogue import MetricName, definition

MOST_RESULTS, MOST_FINE = 60, 8
"""Results of one check that are shown at most, and if fewer are not OK, results that are shown anyway."""
Redact = Callable[[str], str]


def page(facts: EvaluationFacts, redact: Redact = str) -> str:
    """Return the evaluation as an HTML page. `redact` masks secrets in every text."""
    here = Path(__file__).parent
    script = (here / "report.js").read_text(encoding="utf-8")
    templates = create_html_environment(here, redact)
    templates.filters |= {
        "figure": format_figure,
        "share": format_share,
        "p_value": format_p_value,
        "rounded": _rounded,
    }
    columns = facts.columns()
    return templates.get_template("report.html").render(
        facts=facts,
        evaluation=facts.evaluation,
        sentences=sentences(facts),
        tiles=_tiles(facts),
        checks=_checks(facts),
        histories=_histories(facts, redact),
        columns=columns,
        notable=NOTABLE,
        importance=_importance(facts, redact),
        prediction=_prediction(facts),
        performance=_performance(facts),
        curves=_curves(facts),
        confusion=_confusion(facts),
        residuals=facts.evaluation.performance.get("residuals"),
        data=_json(_drawn(facts, columns), redact),
        style=Markup((here / "report.css").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
        script=Markup(script),  # noqa: S704  (our own file)
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _rounded(value: float | None) -> str:
    """Return the value by which a table is sorted; a missing value comes last."""
    return "-1" if value is None else format_number(value)


def _tiles(facts: EvaluationFacts) -> list[dict[str, str]]:
    """Return the metrics at the top of the page."""
    leading = facts.leading()
    wanted = dict.fromkeys(["data_drift", "drifted_columns", *facts.displayed, leading or "", "prediction_drift.drift"])
    tiles = []
    for metric in wanted:
        value = facts.value(metric)
        if value is None:
            continue
        known = facts.evaluation.metrics[metric]
        note = ""
        change = facts.value(f"performance_change.{metric}")
        if metric == "drifted_columns":
            note = f"of {len(facts.evaluation.columns):,}, at {NOTABLE:g} or more"
        elif change is not None:
            note = f"{format_figure(abs(change))} {'below' if change < 0 else 'above'} the reference"
        elif metric == "data_drift":
            within = "" if known.low is None else f"{format_figure(known.low)} to {format_figure(known.high)}; "
            note = f"{within}0.5 is none"
        elif metric == "prediction_drift.drift":
            note = "0 is none, 1 complete"
        held = {c.counts_as for c in facts.checks if c.metric == metric}
        outcome = max(held, key=list(CheckOutcome).index) if held else ""
        title = "prediction drift" if metric == "prediction_drift.drift" else metric_title(metric)
        tiles.append(
            {"title": title, "value": metric_value(metric, value), "note": note, "outcome": str(outcome).lower()}
        )
    return tiles[:6]


def _checks(facts: EvaluationFacts) -> list[dict[str, Any]]:
    """Return the checks, the worst first, each with its results, the worst first."""
    by_name: dict[str, list[CheckResult]] = {}
    for result in worst_first(facts.checks):
        by_name.setdefault(result.check, []).append(result)
    found = []
    for name, results in by_name.items():
        fine = sum(result.counts_as is CheckOutcome.OK for result in results)
        shown = min(MOST_RESULTS, max(MOST_FINE, len(results) - fine))
        told = [_result(result) for result in results[:shown]]
        found.append({"name": name, "fine": fine, "all": len(results), "results": told})
    return found


def _result(result: CheckResult) -> dict[str, Any]:
    told = {
        "metric": result.metric,
        "outcome": result.outcome,
        "value": metric_value(result.metric, result.value),
        "allowed": bounds(result.bounds).replace("_", " "),
        "reason": result.reason,
        "track": None,
    }
    if result.value is None or not is_range(result.bounds):
        return told
    start, end = scale(result.metric, result.bounds, [result.value])

    def at(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - start) / (end - start))), 2)

    stretches = [
        {"kind": zone.kind, "left": at(zone.start), "width": round(at(zone.end) - at(zone.start), 2)}
        for zone in zones(result.bounds, start, end)
    ]
    return told | {
        "track": {"zones": stretches, "at": at(result.value), "start": format_figure(start), "end": format_figure(end)}
    }


def _histories(facts: EvaluationFacts, redact: Redact) -> list[dict[str, Any]]:
    found = []
    for metric in facts.followed():
        points = [point for point in facts.history.get(metric, ()) if point.value is not None]
        if len(points) > 1:
            told = ", ".join(f"{point.name} {metric_value(metric, point.value)}" for point in points[-12:])
            drawn = charts.svg(charts.history(metric, points, facts, redact))
            found.append({"title": metric_title(metric), "svg": drawn, "text": f"{metric_title(metric)}: {told}"})
    return found


def _importance(facts: EvaluationFacts, redact: Redact) -> dict[str, Any] | None:
    told, used = (facts.evaluation.importance.get(side) or {} for side in ("drift", "model"))
    if not told:
        return None
    limit, ranked = 1 / len(told), sorted(told, key=lambda name: -told[name])
    drifted = {name for name, column in facts.evaluation.columns.items() if column.get("drift")}
    top = [(name, told[name]) for name in ranked[: charts.BARS]]
    drawn = charts.importance(facts, redact) if used else charts.bars(top, redact, format_share)
    return {
        "svg": charts.svg(drawn),
        "text": "What tells batch and reference apart: "
        + ", ".join(f"{n} {format_share(told[n])}" for n in ranked[:10]),
        "has_model": bool(used),
        "dangerous": [n for n in ranked if n in drifted and told[n] >= limit and used.get(n, 0) >= limit],
        "rows": [(name, told[name], used.get(name)) for name in ranked[:20]],
        "significant": bool(facts.value("data_drift_significant")),
    }


def _prediction(facts: EvaluationFacts) -> dict[str, Any] | None:
    detail = facts.evaluation.prediction
    if not detail:
        return None
    classes = [name.partition(".")[2] for name in facts.evaluation.metrics if name.startswith("predicted_share.")]
    sides = ("reference_predicted_share", "predicted_share", "fugacity")
    rows = [
        {"name": name.strip('"')} | {side: facts.value(f"{side}.{name}") for side in sides} for name in classes[:50]
    ]
    return {
        "sides": list(detail),
        "classes": rows,
        "more": len(classes) - len(rows),
        "drift": facts.value("prediction_drift.drift"),
        "deciles": detail["prediction"]["role"] == "numerical",
    }


def _performance(facts: EvaluationFacts) -> list[dict[str, Any]]:
    rows = []
    for metric in PERFORMANCE:
        known = facts.evaluation.metrics.get(metric)
        if known is None or metric == "labelled_share":
            continue
        change = facts.value(f"performance_change.{metric}")
        worse = definition(MetricName(metric), "store").worse
        sense = "" if not change or worse is None else "worse" if (change > 0) == (worse == "higher") else "better"
        rows.append(
            {
                "name": metric_title(metric),
                "value": metric_value(metric, known.value),
                "reason": known.reason if known.value is None else None,
                "reference": metric_value(
                    metric, known.value - change if known.value is not None and change is not None else None
                ),
                "change": "" if change is None else f"{'+' if change > 0 else ''}{metric_value(metric, change)}",
                "sense": sense,
            }
        )
    return rows if any(row["reason"] is None for row in rows) else []


def _curves(facts: EvaluationFacts) -> list[dict[str, Any]]:
    detail = facts.evaluation.performance
    found = []
    if "roc" in detail:
        drawn = charts.curve(detail["roc"], "false_positive_rate", "true_positive_rate", diagonal=True)
        found.append(("ROC curve", f"area {format_figure(facts.value('roc_auc'))}; the diagonal is guessing", drawn))
    if "precision_recall" in detail:
        drawn = charts.curve(detail["precision_recall"], "recall", "precision", diagonal=False)
        found.append(
            ("Precision and recall", f"average precision {format_figure(facts.value('average_precision'))}", drawn)
        )
    if "calibration" in detail:
        drawn = charts.curve(detail["calibration"], "probability", "frequency", diagonal=True, size="rows")
        error = format_figure(facts.value("calibration_error"))
        found.append(("Calibration", f"predicted against true; error {error}", drawn))
    if "predicted_against_true" in detail:
        plot = detail["predicted_against_true"]
        drawn = charts.heat(plot["edges"], plot["rows_true_columns_predicted"])
        found.append(("Predicted against true", "rows by quantiles of both; the diagonal is right", drawn))
    return [{"title": title, "note": note, "svg": charts.svg(drawn)} for title, note, drawn in found]


def _confusion(facts: EvaluationFacts) -> dict[str, Any] | None:
    matrix = facts.evaluation.performance.get("confusion_matrix")
    if matrix is None:
        return None
    rows: Sequence[Sequence[int]] = matrix["rows_true_columns_predicted"]
    totals = [max(1, sum(row)) for row in rows]
    shares = [[count / total for count in row] for row, total in zip(rows, totals, strict=True)]
    cells = [list(zip(row, part, strict=True)) for row, part in zip(rows, shares, strict=True)]
    return {"classes": matrix["classes"], "rows": list(zip(matrix["classes"], cells, strict=True))}


def _drawn(facts: EvaluationFacts, columns: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the data for the page's script: the histogram and the statistics of each column, as text.

    Many columns have the same statistics, so `statistics` holds each list of names once; a column has the index of its
    list and the values.
    """
    shapes: dict[tuple[str, ...], int] = {}
    return {
        "columns": [_column(name, column, shapes) for name, column in columns],
        "predictions": [_column(name, column, shapes) for name, column in facts.evaluation.prediction.items()],
        "statistics": list(map(list, shapes)),
    }


def _column(name: str, column: Mapping[str, Any], shapes: dict[tuple[str, ...], int]) -> dict[str, Any]:
    histogram = column["histogram"]
    extra = {label: histogram[label] for label in ("other", "missing") if any(histogram.get(label, ()))}
    sides = ("reference", "batch")
    bins = (
        {"edges": [format_figure(edge) for edge in histogram["edges"]]}
        if "edges" in histogram
        else {"labels": [str(label)[:80] for label in histogram["labels"]]}
    )
    return bins | {
        "name": name,
        "extra": list(extra),
        "counts": [[*histogram[side], *(counts[i] for counts in extra.values())] for i, side in enumerate(sides)],
        "shape": shapes.setdefault(tuple(column["statistics"]), len(shapes)),
        "values": [
            metric_value(key, value) if value is not None else column["reasons"].get(key, "")
            for key, value in column["statistics"].items()
        ],
    }


def _json(value: Any, redact: Redact) -> Markup:
    """Return data for a script element, escaped so that nothing in it can end the element."""
    text = json.dumps(_redacted(value, redact), ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704


def _redacted(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(each, redact) for each in value]
    if isinstance(value, dict):
        return {_redacted(key, redact): _redacted(each, redact) for key, each in value.items()}
    return value
