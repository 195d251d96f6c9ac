"""The summary of an evaluation in a few sentences."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.evaluation.checks.counts import SHOWN_REASONS, PassedChecks, describe_muted_checks, sort_by_severity
from engine.evaluation.checks.detectable import list_weak_checks
from engine.evaluation.record import CheckResult
from engine.formatting.lists import join_some, join_words
from engine.formatting.numbers import format_figure, format_share
from engine.models import describe_measured_rows
from engine.outcome import CheckOutcome
from engine.spec.metrics.catalogue import PERFORMANCE_METRICS
from engine.views.challenger import describe_challenger
from engine.views.columns import ColumnView
from engine.views.estimates import describe_estimates
from engine.views.facts import EvaluationFacts
from engine.views.metric_text import format_metric, format_metric_interval, format_metric_name
from engine.views.ranges import select_value_range
from engine.views.segments import describe_segments


@dataclass(frozen=True, slots=True)
class Summary:
    """An evaluation in sentences.

    Attributes
    ----------
    checks
        The results of the checks.
    drift
        Whether the batch resembles the reference, which columns drifted, and, if the store declares segments, which of
        them drifted; one sentence if nothing could be compared.
    model
        The model's performance, its estimated performance, and the comparison with its challenger, as far as known.
    """

    checks: str
    drift: tuple[str, ...]
    model: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences, the results of the checks first."""
        return self.checks, *self.drift, *self.model


def summarize_evaluation(facts: EvaluationFacts, columns: Sequence[ColumnView]) -> Summary:
    """Summarize an evaluation in sentences; `columns` are sorted by drift."""
    leading = facts.find_leading_metric()
    challenger = describe_challenger(facts.evaluation, leading)
    estimates = describe_estimates(facts.evaluation, leading)
    estimated = ""
    if estimates and not facts.is_own_reference:
        contradicted = facts.evaluation.find_value("estimate_contradicted")
        estimated = f"{estimates.sentence} {estimates.verdict if contradicted else ''}".strip()
    sentences = (_summarize_performance(facts), estimated, challenger.sentence if challenger else "")
    return Summary(_summarize_checks(facts), _summarize_comparison(facts, columns), tuple(filter(None, sentences)))


def _summarize_comparison(facts: EvaluationFacts, columns: Sequence[ColumnView]) -> tuple[str, ...]:
    if not facts.evaluation.rows_used:
        return (f"{facts.dataset}: the batch has no rows, so nothing was compared or measured.",)
    if facts.is_own_reference:
        rows = format_figure(facts.evaluation.rows_used)
        itself = (
            f"{facts.dataset} ({rows} rows) was compared with itself, because {facts.why_own_reference}: "
            "it is the reference of later ones, and shows no drift."
        )
        return (itself,)
    segments = describe_segments(facts.evaluation, facts.find_leading_metric())
    return _summarize_drift(facts), _summarize_columns(facts, columns), *([segments.sentence] if segments else [])


def _summarize_drift(facts: EvaluationFacts) -> str:
    evaluation = facts.evaluation
    accuracy = evaluation.metrics.get("data_drift")
    compared = (
        f"{format_figure(evaluation.rows_used)} rows of {facts.dataset} were compared with "
        f"{format_figure(evaluation.reference_rows)} of the reference"
    )
    if accuracy is None or accuracy.value is None:
        reason = _in_parentheses(accuracy.reason if accuracy else None)
        return f"{compared}; no model could determine whether they differ as a whole{reason}."
    within = _in_parentheses(format_metric_interval("data_drift", accuracy))
    verdict = "more than chance" if facts.evaluation.find_value("data_drift_significant") else "no more than chance"
    reached = f"a model distinguishes them with an accuracy of {format_figure(accuracy.value)}{within}"
    low = facts.evaluation.find_value("data_drift_low")
    # the accuracy of a classifier is at most 1/2 + half of the share by which two distributions differ
    share = f"; at least {format_share(2 * low - 1)} of the batch differs" if low is not None and low > 0.5 else ""
    return f"{compared}: {reached}, {verdict} (0.5){share}."


def _in_parentheses(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _summarize_columns(facts: EvaluationFacts, compared: Sequence[ColumnView]) -> str:
    """Return which columns drifted; `compared` are sorted by drift."""
    drifted, columns = [column for column in compared if column.drift], len(compared)
    if not columns:
        return "No column takes part in the comparison."
    notable = [f"{column.name} ({format_figure(column.drift)})" for column in drifted if column.is_drifted]
    if notable:
        rest = [f"{len(notable) - 3:,} more"] if len(notable) > 3 else []
        sentence = f"{len(notable):,} of {columns:,} columns drifted: {join_words([*notable[:3], *rest])}"
    elif drifted:
        most = f"{drifted[0].name} ({format_figure(drifted[0].drift)})"
        sentence = f"No column drifted notably; {len(drifted):,} of {columns:,} drifted a little, {most} most"
    else:
        sentence = f"None of the {columns:,} columns drifted: chance explains every difference"
    predicted = facts.evaluation.find_value("prediction_drift.drift")
    if predicted is None:
        return f"{sentence}."
    conjunction = "and" if bool(drifted) == bool(predicted) else "but"
    change = f"moved by {format_figure(predicted)}" if predicted else "stayed where they were"
    return f"{sentence}, {conjunction} the predictions {change}."


def _summarize_performance(facts: EvaluationFacts) -> str:
    labelled, metric = facts.evaluation.find_value("labelled_share"), facts.find_leading_metric()
    if labelled is None:
        return ""
    if metric is None:
        why = "no row has a value in the target column yet" if labelled == 0 else _find_performance_reason(facts)
        return f"How the model performs is not known: {why}."
    change = None if facts.is_own_reference else facts.evaluation.find_value(f"performance_change.{metric}")
    moved = (
        "" if change is None else f", {format_figure(abs(change))} {'below' if change < 0 else 'above'} the reference's"
    )
    within = _in_parentheses(format_metric_interval(metric, facts.evaluation.metrics[metric]))
    reached = (
        f"{format_metric_name(metric)} is {format_metric(metric, facts.evaluation.find_value(metric))}{within}{moved}"
    )
    doubt = ""
    if differing := facts.evaluation.find_value("labelled_drift"):
        doubt = (
            " The rows with a target value differ from those without in the predictions "
            f"(drift {format_figure(differing)}), so this may not hold for all rows."
        )
    return f"{_name_measured_rows(facts, labelled)}, {reached}.{doubt}"


def _find_performance_reason(facts: EvaluationFacts) -> str:
    """Return the reason why performance has no value, which is that of its first metric."""
    measured = (facts.evaluation.metrics.get(metric) for metric in PERFORMANCE_METRICS)
    return next((metric.reason for metric in measured if metric and metric.reason), "it has no value")


def _name_measured_rows(facts: EvaluationFacts, labelled: float) -> str:
    """Return the rows on which performance was measured, and what the others lack, if that was counted."""
    if counts := facts.evaluation.performance.rows:
        rows, _, lacking = describe_measured_rows(counts).partition(": ")
        return f"On {rows} ({lacking})" if lacking else "On all rows"
    return "On all rows" if labelled == 1 else f"On the {format_share(labelled)} of the rows that have a target value"


def _summarize_checks(facts: EvaluationFacts) -> str:
    counting = [check for check in facts.checks if not check.muted]
    muted = describe_muted_checks(facts.checks)
    if not facts.checks:
        return "The store declares no checks."
    return " ".join(filter(None, [_summarize_counting_checks(counting) if counting else "", muted and f"{muted}."]))


def _summarize_counting_checks(checks: Sequence[CheckResult]) -> str:
    worst: dict[str, CheckOutcome] = {}
    for check in checks:
        worst[check.check] = max(check.counts_as, worst.get(check.check, check.counts_as), key=list(CheckOutcome).index)
    count = Counter(worst.values())
    wrong = [name for level in (CheckOutcome.ERROR, CheckOutcome.WARNING) for name in worst if worst[name] is level]
    passed = PassedChecks.select(checks)
    if not wrong:
        text = f"All {len(worst)} checks hold" if len(worst) > 1 else "The one check holds"
        if passed.unmeasured and len(passed.unmeasured) == len(passed.checks):
            return f"No check measured anything: {join_some(passed.list_unmeasured(), SHOWN_REASONS)}."
        if passed.unmeasured:
            text += f", but {passed.describe_unmeasured()}"
        weak = len(list_weak_checks(checks)) if len(worst) > 1 else 0
        return f"{text}{f'; {weak} could hardly have failed with so few rows' if weak else ''}."
    numbers = [f"{count[level]} {word}" for level, word in _OUTCOME_VERBS.items() if count[level]]
    shown = [_describe_wrong(name, checks) for name in wrong[:3]]
    shown += [f"{len(wrong) - 3:,} more"] if len(wrong) > 3 else []
    text = f"Of {len(worst)} checks {join_words(numbers)}: {join_words(shown)}."
    unmeasured = join_some(passed.list_unmeasured(), SHOWN_REASONS)
    return f"{text} Measured nothing, and counted as OK: {unmeasured}." if unmeasured else text


def _describe_wrong(name: str, checks: Sequence[CheckResult]) -> str:
    """Return the result of a check: its worst metric, and how many others; the check's name alone could mislead."""
    worst, *others = [one for one in sort_by_severity(checks) if one.check == name]
    more = sum(one.counts_as is not CheckOutcome.OK for one in others)
    what = _describe_breach(worst) or worst.summary.removeprefix(f"{name}: ")
    return f"{what}{f' and {more} more' if more else ''} (“{name}”)"


def _describe_breach(result: CheckResult) -> str:
    """Return `ROC AUC 0.62 is below soft_min 0.7`; empty if the reason is another, or if rounding would hide it."""
    applied = select_value_range(result.bounds)
    if applied is None or result.value is None:
        return ""
    hard_first = sorted(applied.limits, key=lambda limit: limit.outcome is not CheckOutcome.ERROR)
    broken = next((limit for limit in hard_first if limit.is_broken_by(result.value)), None)
    if broken is None:
        return ""
    value, bound = format_metric(result.metric, result.value), format_metric(result.metric, broken.value)
    return f"{format_metric_name(result.metric)} {value} is {broken.side} {bound}" if value != bound else ""


_OUTCOME_VERBS = {CheckOutcome.ERROR: "failed", CheckOutcome.WARNING: "warned"}
