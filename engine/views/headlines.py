"""The metrics at the top of an evaluation's page: few numbers, each with its meaning."""

from dataclasses import dataclass

from engine.drift import NOTABLE_DRIFT
from engine.formatting.numbers import format_figure
from engine.outcome import CheckOutcome, worst_check_outcome
from engine.views.facts import EvaluationFacts
from engine.views.metric_text import explain_metric, format_metric, format_metric_interval, format_metric_name

MOST_HEADLINES = 6


@dataclass(frozen=True, slots=True)
class HeadlineMetric:
    """A metric: its name, its value and meaning as text, and the worst outcome of its checks, if any."""

    metric: str
    title: str
    explanation: str
    value: str
    note: str
    outcome: CheckOutcome | None


def list_headlines(facts: EvaluationFacts) -> tuple[HeadlineMetric, ...]:
    """Return the first metrics that have a value: drift, the store's displayed metrics, performance, predictions."""
    leading = facts.find_leading_metric()
    of_model = [leading, f"advantage.{leading}"] if leading else []
    wanted = dict.fromkeys(["data_drift", "drifted_columns", *facts.displayed, *of_model, "prediction_drift.drift"])
    known = [metric for metric in wanted if facts.evaluation.find_value(metric) is not None]
    return tuple(_describe_headline(metric, facts) for metric in known[:MOST_HEADLINES])


def _describe_headline(metric: str, facts: EvaluationFacts) -> HeadlineMetric:
    outcomes = [check.counts_as for check in facts.checks if check.metric == metric]
    return HeadlineMetric(
        metric=metric,
        title=format_metric_name(metric),
        explanation=explain_metric(metric),
        value=format_metric(metric, facts.evaluation.find_value(metric)),
        note=_explain_headline(metric, facts),
        outcome=worst_check_outcome(outcomes) if outcomes else None,
    )


def _explain_headline(metric: str, facts: EvaluationFacts) -> str:
    measured = facts.evaluation.metrics[metric]
    change = facts.evaluation.find_value(f"performance_change.{metric}")
    within = "" if measured.low is None else f"{format_metric_interval(metric, measured)}; "
    if metric == "drifted_columns":
        return f"of {len(facts.evaluation.columns):,}, at {NOTABLE_DRIFT:g} or more"
    if change is not None:
        return f"{within}{format_figure(abs(change))} {'below' if change < 0 else 'above'} the reference"
    if metric.startswith("advantage."):
        return f"{within}above 0 the challenger is better"
    if metric == "data_drift":
        return f"{within}0.5 is none"
    return "0 is none, 1 complete" if metric == "prediction_drift.drift" else ""
