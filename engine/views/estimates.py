"""Views of estimated performance: next to the performance by labels, with the method and its blind spot."""

from dataclasses import dataclass

from engine.evaluation.record import Evaluation, MetricValue
from engine.formatting.numbers import format_figure, format_p_value, format_share
from engine.spec.metrics.catalogue import PERFORMANCE_METRICS
from engine.views.metric_text import format_metric, format_metric_interval, format_metric_name
from engine.views.performance import LEADING_METRICS

BLIND = "An estimate does not see whether the relation between the columns and the target has changed."
"""The warning that must accompany every estimate."""
_METHODS = {
    "calibrated": "by what the scores of the reference came to",
    "reweighted": "by what the scores of the reference came to, its rows weighted to stand for the batch",
    "prediction-powered": "by what the scores of the reference came to, corrected by the labels that are there",
}


@dataclass(frozen=True, slots=True)
class EstimateRow:
    """One metric: its estimate, and its value by the available labels."""

    metric: str
    estimated: MetricValue
    realised: MetricValue


@dataclass(frozen=True, slots=True)
class EstimateView:
    """The estimates of an evaluation.

    Attributes
    ----------
    sentence
        One metric with the method, or the reason why there is none.
    basis
        The data behind the estimates; empty if there are none.
    verdict
        Whether labels contradict the estimates; empty without enough labels.
    """

    sentence: str
    basis: str
    verdict: str
    rows: tuple[EstimateRow, ...]

    @property
    def is_estimated(self) -> bool:
        """Whether any metric has a value."""
        return any(row.estimated.value is not None for row in self.rows)


def list_estimate_rows(evaluation: Evaluation) -> tuple[EstimateRow, ...]:
    """Return the estimated metrics of an evaluation, in the order of the catalogue; none without `estimates`."""
    return tuple(
        EstimateRow(metric, estimated, evaluation.metrics.get(metric) or MetricValue(None))
        for metric in PERFORMANCE_METRICS
        if (estimated := evaluation.metrics.get(f"estimated_{metric}")) is not None
    )


def describe_estimates(evaluation: Evaluation, leading: str | None) -> EstimateView | None:
    """Return the estimates of an evaluation; None if its store makes none.

    Parameters
    ----------
    leading
        The metric that represents the performance; if it has no estimate, another one replaces it.
    """
    rows = list_estimate_rows(evaluation)
    if not rows:
        return None
    estimated = {row.metric: row.estimated for row in rows if row.estimated.value is not None}
    detail = evaluation.performance.estimate
    if not estimated or detail is None:
        return EstimateView(f"Performance is not estimated: {rows[0].estimated.reason}.", "", "", rows)
    metric = next((one for one in (leading, *LEADING_METRICS) if one in estimated), next(iter(estimated)))
    value = estimated[metric]
    within = format_metric_interval(metric, value)
    sentence = (
        f"{format_metric_name(metric)} is estimated as {format_metric(metric, value.value)}"
        f"{f' ({within})' if within else ''}, {_METHODS[detail.method]} ({detail.method})."
    )
    effective = ""
    if detail.effective_rows < 0.99 * detail.reference_rows:
        effective = f", which are worth {detail.effective_rows:,.0f} independent ones"
    outside = f" {format_share(detail.outside)} of the batch is like no row of the reference." if detail.outside else ""
    basis = (
        f"{detail.reference_rows:,} rows of the reference have a label{effective}; {detail.rows:,} rows of the batch "
        f"are estimated, of which {detail.labelled:,} have a label.{outside} {BLIND}"
    )
    return EstimateView(sentence, basis, _describe_verdict(evaluation), rows)


def _describe_verdict(evaluation: Evaluation) -> str:
    """Return whether labels contradict the estimates."""
    contradicted, detail = evaluation.metrics["estimate_contradicted"], evaluation.performance.estimate
    if contradicted.value is None or detail is None or not detail.compared:
        return ""
    first = detail.compared[0]
    p = f"p {'' if first.p_value < 1e-4 else '= '}{format_p_value(first.p_value)}"
    comparison = (
        f"of the rows with a label, {format_metric_name(first.metric)} is {format_figure(first.realised)}, and "
        f"{format_figure(first.expected)} was to be expected ({p})"
    )
    return f"The labels contradict the estimate: {comparison}." if contradicted.value else (
        f"The labels do not contradict the estimate: {comparison}."
    )  # fmt: skip
