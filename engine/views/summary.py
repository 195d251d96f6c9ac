"""Metrics as text with their units, and the summary of an evaluation in three sentences."""

from collections import Counter
from collections.abc import Sequence

from engine.drift import NOTABLE_DRIFT
from engine.evaluation.check_counts import SHOWN_REASONS, PassedChecks, sort_by_severity
from engine.evaluation.detectable import list_weak_checks
from engine.evaluation.record import CheckResult, MetricValue
from engine.formatting.lists import join_some, join_words
from engine.formatting.numbers import format_figure, format_p_value, format_share
from engine.models import describe_measured_rows
from engine.outcome import CheckOutcome
from engine.spec.metric_catalogue import PERFORMANCE_METRICS
from engine.spec.metric_names import MetricName, parse_metric_name
from engine.views.facts import EvaluationFacts

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
    """Return three sentences: is the batch like the reference, which columns drifted, model performance and checks.

    There are two where nothing could be compared.
    """
    last = f"{_summarize_performance(facts)}{_summarize_checks(facts)}"
    if not facts.evaluation.rows_used:
        return [f"{facts.dataset}: the batch has no rows, so nothing was compared or measured.", last]
    if facts.is_own_reference:
        rows = format_figure(facts.evaluation.rows_used)
        itself = (
            f"{facts.dataset} ({rows} rows) was compared with itself, because there is no earlier evaluation: "
            "it is the reference of later ones, and shows no drift."
        )
        return [itself, last]
    return [_summarize_drift(facts), _summarize_columns(facts), last]


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
    low = facts.find_value("data_drift_low")
    # a classifier is right in at most 1/2 + half of the share by which two distributions differ
    share = f"; at least {format_share(2 * low - 1)} of the batch differs" if low is not None and low > 0.5 else ""
    return f"{compared}: {reached}, {verdict} (0.5){share}."


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
        why = "no row has a value in the target column yet" if labelled == 0 else _find_performance_reason(facts)
        return f"How the model performs is not known: {why}. "
    change = None if facts.is_own_reference else facts.find_value(f"performance_change.{metric}")
    moved = (
        "" if change is None else f", {format_figure(abs(change))} {'below' if change < 0 else 'above'} the reference's"
    )
    within = _in_parentheses(format_ends(metric, facts.evaluation.metrics[metric]))
    reached = f"{format_metric_name(metric)} is {format_metric(metric, facts.find_value(metric))}{within}{moved}"
    doubt = ""
    if differing := facts.find_value("labelled_drift"):
        doubt = (
            "The rows with a target value differ from those without in the predictions "
            f"(drift {format_figure(differing)}), so this may not hold for all rows. "
        )
    return f"{_name_measured_rows(facts, labelled)}, {reached}. {doubt}"


def _find_performance_reason(facts: EvaluationFacts) -> str:
    """Return why performance has no value, as its first metric says."""
    measured = (facts.evaluation.metrics.get(metric) for metric in PERFORMANCE_METRICS)
    return next((metric.reason for metric in measured if metric and metric.reason), "it has no value")


def _name_measured_rows(facts: EvaluationFacts, labelled: float) -> str:
    """Return the rows that performance holds for, with what the others lack where that was counted."""
    if counts := facts.evaluation.performance.rows:
        rows, _, lacking = describe_measured_rows(counts).partition(": ")
        return f"On {rows} ({lacking})" if lacking else "On all rows"
    return "On all rows" if labelled == 1 else f"On the {format_share(labelled)} of the rows that have a target value"


def _summarize_checks(facts: EvaluationFacts) -> str:
    if not facts.checks:
        return "The store declares no checks."
    worst: dict[str, CheckOutcome] = {}
    for check in facts.checks:
        worst[check.check] = max(check.counts_as, worst.get(check.check, check.counts_as), key=list(CheckOutcome).index)
    count = Counter(worst.values())
    wrong = [name for level in (CheckOutcome.ERROR, CheckOutcome.WARNING) for name in worst if worst[name] is level]
    passed = PassedChecks.select(facts.checks)
    if not wrong:
        text = f"All {len(worst)} checks hold" if len(worst) > 1 else "The one check holds"
        if passed.unmeasured and len(passed.unmeasured) == len(passed.checks):
            return f"No check measured anything: {join_some(passed.list_unmeasured(), SHOWN_REASONS)}."
        if passed.unmeasured:
            text += f", but {passed.tell_unmeasured()}"
        weak = len(list_weak_checks(facts.checks)) if len(worst) > 1 else 0
        return f"{text}{f'; {weak} could hardly have failed with so few rows' if weak else ''}."
    numbers = [f"{count[level]} {word}" for level, word in _OUTCOME_VERBS.items() if count[level]]
    shown = [_describe_wrong(name, facts.checks) for name in wrong[:3]]
    shown += [f"{len(wrong) - 3} more"] if len(wrong) > 3 else []
    text = f"Of {len(worst)} checks {join_words(numbers)}: {join_words(shown)}."
    unmeasured = join_some(passed.list_unmeasured(), SHOWN_REASONS)
    return f"{text} Measured nothing, and counted as OK: {unmeasured}." if unmeasured else text


def _describe_wrong(name: str, checks: Sequence[CheckResult]) -> str:
    """Return what a check has found: its worst metric, and how many others; the name alone may say the opposite."""
    worst, *others = [one for one in sort_by_severity(checks) if one.check == name]
    more = sum(one.counts_as is not CheckOutcome.OK for one in others)
    what = worst.summary.removeprefix(f"{name}: ")
    return f"{what}{f' and {more} more' if more else ''} (“{name}”)"


_OUTCOME_VERBS = {CheckOutcome.ERROR: "failed", CheckOutcome.WARNING: "warned"}
