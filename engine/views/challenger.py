"""View of a challenger next to the model of a store: both values, and which is better by how much."""

from dataclasses import dataclass, replace
from math import isclose
from typing import Literal

from engine.evaluation.record import Evaluation, MetricValue
from engine.formatting.numbers import format_ends, format_figure, format_share
from engine.spec.metrics.catalogue import PERFORMANCE_METRICS
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName
from engine.views.metric_text import format_metric_name
from engine.views.performance import LEADING_METRICS

Verdict = Literal["", "better", "worse", "undecided"]
"""Verdict on the challenger: undecided if its interval contains 0 or is missing, empty without a value."""


@dataclass(frozen=True, slots=True)
class ChallengerRow:
    """One performance metric of both models on the same rows, the challenger's advantage, and the verdict."""

    metric: str
    champion: MetricValue
    challenger: MetricValue
    advantage: MetricValue
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ChallengerView:
    """A challenger with the metrics of both models; `sentence` says which is better by one of them, or why not."""

    name: str
    version: str | None
    champion: str
    sentence: str
    rows: tuple[ChallengerRow, ...]

    @property
    def is_measured(self) -> bool:
        """Whether any metric has a value."""
        return any(row.advantage.value is not None for row in self.rows)


def list_challenger_rows(evaluation: Evaluation) -> tuple[ChallengerRow, ...]:
    """Return the metrics of the challenger of an evaluation, in the order of the catalogue; none without one."""
    return tuple(
        _compare_metric(metric, evaluation)
        for metric in PERFORMANCE_METRICS
        if f"advantage.{metric}" in evaluation.metrics
    )


def describe_challenger(evaluation: Evaluation, leading: str | None) -> ChallengerView | None:
    """Return the challenger of an evaluation; None without one.

    Parameters
    ----------
    leading
        The metric that represents the performance; if it has no value here, another one replaces it.
    """
    rows = list_challenger_rows(evaluation)
    if not rows:
        return None
    facts = evaluation.facts.get("challenger", {})
    name, version = facts.get("model", "challenger"), facts.get("version")
    order = [metric for metric in (leading, *LEADING_METRICS) if metric is not None]
    measured = [row for row in rows if row.advantage.value is not None] or rows[:1]
    first = min(measured, key=lambda row: order.index(row.metric) if row.metric in order else len(order))
    return ChallengerView(
        name,
        version,
        evaluation.model or "",
        f"{_describe_advantage(name, first, _find_confidence(evaluation))}.",
        rows,
    )


def _compare_metric(metric: str, evaluation: Evaluation) -> ChallengerRow:
    advantage = evaluation.metrics[f"advantage.{metric}"]
    challenger = evaluation.metrics.get(f"challenger.{metric}") or MetricValue(None)
    champion = MetricValue(None)
    if advantage.value is not None and challenger.value is not None:
        worse = find_metric_definition(MetricName(metric), "store").worse
        value = challenger.value + (advantage.value if worse == "higher" else -advantage.value)
        # The same rows as for the performance of the batch, unless some of them were left out.
        whole = evaluation.metrics[metric]
        same = whole.value is not None and isclose(whole.value, value, rel_tol=1e-9, abs_tol=1e-12)
        champion = whole if same else MetricValue(value)
    return ChallengerRow(metric, champion, challenger, advantage, _judge(advantage))


def _judge(advantage: MetricValue) -> Verdict:
    if advantage.value is None:
        return ""
    if advantage.low is not None and advantage.low > 0:
        return "better"
    return "worse" if advantage.high is not None and advantage.high < 0 else "undecided"


def _find_confidence(evaluation: Evaluation) -> float:
    """Return the confidence level of the intervals; the facts contain it unless it is the default."""
    return float(evaluation.facts.get("spec", {}).get("store", {}).get("drift", {}).get("confidence", 0.95))


def _describe_advantage(name: str, row: ChallengerRow, confidence: float) -> str:
    advantage, metric = row.advantage, format_metric_name(row.metric)
    if advantage.value is None:
        return f"The challenger {name} is not compared: {advantage.reason}"
    if advantage.value == 0 and row.verdict == "undecided":
        sentence = f"The challenger {name} is as good as the model in use in {metric}"
    else:
        word = "better" if advantage.value > 0 else "worse"
        sentence = f"The challenger {name} is {word} by {format_figure(abs(advantage.value))} in {metric}"
    # The number is positive in the direction of the word: "worse by 0.02 (95 % interval 0.01 to 0.03)".
    shown = (
        advantage
        if advantage.value >= 0
        else replace(advantage, low=_negate(advantage.high), high=_negate(advantage.low))
    )
    if shown.low is None:
        return f"{sentence} ({advantage.reason})" if advantage.reason else sentence
    within = f"{format_share(confidence)} interval {format_ends(shown.low, shown.high, format_figure)}"
    return f"{sentence} ({within})" + (", which chance may explain" if row.verdict == "undecided" else "")


def _negate(value: float | None) -> float | None:
    return None if value is None else -value
