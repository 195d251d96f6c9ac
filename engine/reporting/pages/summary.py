"""Metrics as text with their units, and the summary of an evaluation in three sentences."""

from collections import Counter

from engine.drift import NOTABLE_DRIFT
from engine.evaluation.detectable import list_weak_checks
from engine.evaluation.record import MetricValue
from engine.formatting.lists import join_words
from engine.formatting.numbers import format_figure, format_p_value, format_share
from engine.outcome import CheckOutcome
from engine.reporting.pages.facts import EvaluationFacts
from engine.spec.metric_names import MetricName, parse_metric_name

_METRIC_NAMES = {
    "roc_auc": "ROC AUC",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "mcc": "MCC",
    "rmsle": "RMSLE",
    "mape": "MAPE",
}


def format_metric(metric: str, value: float | None) -> str:
    """Return the value of a metric in its unit."""
    name = parse_metric_name(metric)
    statistic = name.statistic if isinstance(name, MetricName) else metric
    if statistic.startswith("fugacity") and value is not None:
        return f"{'+' if value > 0 else ''}{format_share(value)}"
    if statistic.endswith("_share") or statistic in ("predicted_share", "mape"):
        return format_share(value)
    return format_p_value(value) if statistic.endswith("_p") else format_figure(value)


def format_ends(metric: str, measured: MetricValue) -> str:
    """Return the ends of a metric's interval, in its unit; nothing if it has none."""
    if measured.low is None or measured.high is None:
        return ""
    return f"{format_metric(metric, measured.low)} to {format_metric(metric, measured.high)}"


def format_metric_name(metric: str) -> str:
    """Return the usual name of a metric."""
    return _METRIC_NAMES.get(metric, metric.replace("_", " ") if "." not in metric else metric)


def summarize_evaluation(facts: EvaluationFacts) -> list[str]:
    """Return three sentences: is the batch like the reference, which columns drifted, model performance and checks."""
    return [
        _summarize_drift(facts),
        _summarize_columns(facts),
        f"{_summarize_performance(facts)}{_summarize_checks(facts)}",
    ]


def _summarize_drift(facts: EvaluationFacts) -> str:
    evaluation = facts.evaluation
    accuracy = evaluation.metrics.get("data_drift")
    compared = (
        f"{format_figure(evaluation.rows_used)} rows of {facts.dataset} were compared with "
        f"{format_figure(evaluation.reference_rows)} of the reference"
    )
    if accuracy is None or accuracy.value is None:
        reason = _in_parentheses(accuracy.reason if accuracy else None)
        return f"{compared}; no model could tell whether they differ as a whole{reason}."
    within = f" ({format_figure(accuracy.low)} to {format_figure(accuracy.high)})" if accuracy.low is not None else ""
    verdict = "more than chance" if facts.find_value("data_drift_significant") else "no more than chance"
    reached = f"a model tells them apart with an accuracy of {format_figure(accuracy.value)}{within}"
    return f"{compared}: {reached}, {verdict} (0.5)."


def _in_parentheses(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _summarize_columns(facts: EvaluationFacts) -> str:
    drifted, columns = facts.list_drifted(), len(facts.evaluation.columns)
    if not columns:
        return "No column takes part in the comparison."
    notable = [f"{name} ({format_figure(drift)})" for name, drift in drifted if drift >= NOTABLE_DRIFT]
    if notable:
        rest = [f"{len(notable) - 3} more"] if len(notable) > 3 else []
        sentence = f"{len(notable)} of {columns} columns drifted: {join_words([*notable[:3], *rest])}"
    elif drifted:
        name, drift = drifted[0]
        most = f"{name} ({format_figure(drift)})"
        sentence = f"No column drifted notably; {len(drifted)} of {columns} drifted a little, {most} most"
    else:
        sentence = f"None of the {columns} columns drifted: chance explains every difference"
    predicted = facts.find_value("prediction_drift.drift")
    if predicted is None:
        return f"{sentence}."
    conjunction = "and" if bool(drifted) == bool(predicted) else "but"
    change = f"moved by {format_figure(predicted)}" if predicted else "stayed where they were"
    return f"{sentence}, {conjunction} the predictions {change}."


def _summarize_performance(facts: EvaluationFacts) -> str:
    labelled, metric = facts.find_value("labelled_share"), facts.find_leading_metric()
    if labelled is None:
        return ""
    if metric is None:
        why = "no row has a value in the target column yet" if labelled == 0 else "it has no value"
        return f"How the model performs is not known: {why}. "
    change = facts.find_value(f"performance_change.{metric}")
    moved = (
        "" if change is None else f", {format_figure(abs(change))} {'below' if change < 0 else 'above'} the reference's"
    )
    within = _in_parentheses(format_ends(metric, facts.evaluation.metrics[metric]))
    reached = f"{format_metric_name(metric)} is {format_metric(metric, facts.find_value(metric))}{within}{moved}"
    where = "On all rows" if labelled == 1 else f"On the {format_share(labelled)} of the rows that have a target value"
    return f"{where}, {reached}. "


def _summarize_checks(facts: EvaluationFacts) -> str:
    if not facts.checks:
        return "The store declares no checks."
    worst: dict[str, CheckOutcome] = {}
    for check in facts.checks:
        worst[check.check] = max(check.counts_as, worst.get(check.check, check.counts_as), key=list(CheckOutcome).index)
    count = Counter(worst.values())
    wrong = [name for level in (CheckOutcome.ERROR, CheckOutcome.WARNING) for name in worst if worst[name] is level]
    if not wrong and len(worst) == 1:
        return "The one check holds."
    if not wrong:
        weak = len(list_weak_checks(facts.checks))
        return f"All {len(worst)} checks hold{f'; {weak} could hardly have failed with so few rows' if weak else ''}."
    numbers = [f"{count[level]} {word}" for level, word in _OUTCOME_VERBS.items() if count[level]]
    shown = [f"“{name}”" for name in wrong[:3]] + ([f"{len(wrong) - 3} more"] if len(wrong) > 3 else [])
    return f"Of {len(worst)} checks {join_words(numbers)}: {join_words(shown)}."


_OUTCOME_VERBS = {CheckOutcome.ERROR: "failed", CheckOutcome.WARNING: "warned"}
