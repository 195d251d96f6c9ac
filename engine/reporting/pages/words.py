"""Numbers and findings in words: four significant digits, units, three sentences."""

import math
from collections import Counter
from collections.abc import Sequence

from engine.outcome import CheckOutcome
from engine.reporting.pages.facts import NOTABLE, EvaluationFacts
from engine.spec.catalogue import MetricName, parse

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NAMES = {
    "roc_auc": "ROC AUC",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "mcc": "MCC",
    "rmsle": "RMSLE",
    "mape": "MAPE",
}


def figure(value: float | None) -> str:
    """Return a number with four significant digits: 71,160, 0.5965, 2.3 × 10⁻⁷."""  # noqa: RUF002  (the sign meant)
    if value is None:
        return NOTHING
    sign, size = (MINUS if value < 0 else ""), abs(value)
    if math.isinf(size):
        return f"{sign}∞"
    if size == int(size) and size < 1e9:
        return f"{sign}{int(size):,}"
    if size >= 1e9 or size < 1e-4:
        mantissa, exponent = f"{size:.3e}".split("e")
        return f"{sign}{_short(mantissa)} \N{MULTIPLICATION SIGN} 10{str(int(exponent)).translate(_RAISED)}"
    return sign + _short(f"{size:,.{max(0, 3 - math.floor(math.log10(size)))}f}")


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(value: float | None) -> str:
    """Return a share in per cent, three significant digits."""
    if value is None:
        return NOTHING
    return f"{figure(float(f'{value * 100:.3g}'))} %"


def p_value(value: float | None) -> str:
    """Return a p-value; below 0.0001 only that."""
    return "< 0.0001" if value is not None and value < 1e-4 else figure(value)


def metric_value(metric: str, value: float | None) -> str:
    """Return a metric's value in its unit."""
    name = parse(metric)
    statistic = name.statistic if isinstance(name, MetricName) else metric
    if statistic.startswith("fugacity") and value is not None:
        return f"{'+' if value > 0 else ''}{share(value)}"
    if statistic.endswith("_share") or statistic in ("predicted_share", "mape"):
        return share(value)
    return p_value(value) if statistic.endswith("_p") else figure(value)


def metric_title(metric: str) -> str:
    """Return a metric's name for people."""
    return _NAMES.get(metric, metric.replace("_", " ") if "." not in metric else metric)


def listed(parts: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def sentences(facts: EvaluationFacts) -> list[str]:
    """Return what happened: is the batch like the reference, what has moved, how the model and the checks do."""
    return [_compared(facts), _moved(facts), f"{_performed(facts)}{_checked(facts)}"]


def _compared(facts: EvaluationFacts) -> str:
    evaluation = facts.evaluation
    known = evaluation.metrics.get("data_drift")
    told = (
        f"{figure(evaluation.rows_used)} rows of {facts.dataset} were compared with {figure(evaluation.reference_rows)}"
        " of the reference"
    )
    if known is None or known.value is None:
        return f"{told}; no model could tell whether they differ as a whole{_because(known.reason if known else None)}."
    within = f" ({figure(known.low)} to {figure(known.high)})" if known.low is not None else ""
    verdict = "more than chance" if facts.value("data_drift_significant") else "no more than chance"
    return f"{told}: a model tells them apart with an accuracy of {figure(known.value)}{within}, {verdict} (0.5)."


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _moved(facts: EvaluationFacts) -> str:
    drifted, columns = facts.drifted(), len(facts.evaluation.columns)
    if not columns:
        return "No column takes part in the comparison."
    notable = [f"{name} ({figure(drift)})" for name, drift in drifted if drift >= NOTABLE]
    if notable:
        rest = [f"{len(notable) - 3} more"] if len(notable) > 3 else []
        told = f"{len(notable)} of {columns} columns drifted: {listed([*notable[:3], *rest])}"
    elif drifted:
        name, drift = drifted[0]
        told = f"No column drifted notably; {len(drifted)} of {columns} moved a little, most {name} ({figure(drift)})"
    else:
        told = f"None of the {columns} columns drifted: chance explains every difference"
    predicted = facts.value("prediction_drift.drift")
    if predicted is None:
        return f"{told}."
    but = "and" if bool(drifted) == bool(predicted) else "but"
    moved = f"moved by {figure(predicted)}" if predicted else "stayed where they were"
    return f"{told}, {but} the predictions {moved}."


def _performed(facts: EvaluationFacts) -> str:
    labelled, metric = facts.value("labelled_share"), facts.leading()
    if labelled is None:
        return ""
    if metric is None:
        why = "no row has a label yet" if labelled == 0 else "it has no value"
        return f"How the model performs is not known: {why}. "
    change = facts.value(f"performance_change.{metric}")
    moved = "" if change is None else f", {figure(abs(change))} {'below' if change < 0 else 'above'} the reference's"
    reached = f"{metric_title(metric)} is {metric_value(metric, facts.value(metric))}{moved}"
    where = "On all rows" if labelled == 1 else f"On the {share(labelled)} of the rows that have a label"
    return f"{where}, {reached}. "


def _checked(facts: EvaluationFacts) -> str:
    if not facts.checks:
        return "The store declares no checks."
    worst: dict[str, CheckOutcome] = {}
    for check in facts.checks:
        worst[check.check] = max(check.counts_as, worst.get(check.check, check.counts_as), key=list(CheckOutcome).index)
    count = Counter(worst.values())
    wrong = [name for level in (CheckOutcome.ERROR, CheckOutcome.WARNING) for name in worst if worst[name] is level]
    if not wrong:
        return f"All {len(worst)} checks hold." if len(worst) > 1 else "The one check holds."
    told = [f"{count[level]} {word}" for level, word in _VERBS.items() if count[level]]
    shown = [f"“{name}”" for name in wrong[:3]] + ([f"{len(wrong) - 3} more"] if len(wrong) > 3 else [])
    return f"Of {len(worst)} checks {listed(told)}: {listed(shown)}."


_VERBS = {CheckOutcome.ERROR: "failed", CheckOutcome.WARNING: "warned"}
