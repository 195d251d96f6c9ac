"""The view of an evaluation: plain data from which terminal output, pages, mails and frames are laid out."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.evaluation.bounds import AppliedRange
from engine.evaluation.record import Evaluation
from engine.formatting.lists import join_words
from engine.outcome import CheckOutcome, worst_check_outcome
from engine.store import MetricPoint
from engine.views.challenger import ChallengerView, describe_challenger
from engine.views.checks import CheckGroup, group_checks
from engine.views.columns import ColumnView, describe_columns, describe_prediction_columns
from engine.views.estimates import EstimateView, describe_estimates
from engine.views.facts import EvaluationFacts
from engine.views.headlines import HeadlineMetric, list_headlines
from engine.views.importance import ImportanceView, describe_importance
from engine.views.performance import PerformanceRow, describe_performance
from engine.views.predictions import PredictionView, describe_predictions
from engine.views.ranges import select_first_range
from engine.views.segments import SegmentsView, describe_segments
from engine.views.summary import Summary, summarize_evaluation


@dataclass(frozen=True, slots=True)
class HistoryView:
    """A metric over the evaluations of the store that have a value, oldest first.

    `ranges` holds, for each evaluation, the range that a check allowed when it was last applied to it; None if there
    was no check, or it did not allow a range of the value.
    """

    metric: str
    points: tuple[MetricPoint, ...]
    ranges: tuple[AppliedRange | None, ...]


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """One evaluation with its context.

    Attributes
    ----------
    evaluation
        The record, for its names, times, rows and fingerprints; the measurements are in the other fields.
    outcome
        The worst outcome of the checks; None without checks.
    summary
        The evaluation in a few sentences.
    reference
        Description of what the batch was compared with; empty if unknown.
    headlines
        The first metrics to show.
    columns, prediction_columns
        The compared columns, the most drifted first, and the predictions as columns.
    performance
        The performance metrics; empty if none has a value.
    estimates
        The estimated performance; None if the store makes no estimates.
    challenger
        The comparison with the challenger; None without one.
    segments
        The segments; None if the store declares none.
    histories
        Metrics over time: the displayed ones, and those that left an allowed range.
    spec
        The project as YAML, secrets masked.
    """

    project: str
    dataset: str
    evaluation: Evaluation
    outcome: CheckOutcome | None
    summary: Summary
    reference: str
    headlines: tuple[HeadlineMetric, ...]
    columns: tuple[ColumnView, ...]
    importance: ImportanceView | None
    prediction: PredictionView | None
    prediction_columns: tuple[ColumnView, ...]
    performance: tuple[PerformanceRow, ...]
    estimates: EstimateView | None
    challenger: ChallengerView | None
    segments: SegmentsView | None
    checks: tuple[CheckGroup, ...]
    histories: tuple[HistoryView, ...]
    spec: str
    run_url: str | None

    def list_drifted(self) -> list[ColumnView]:
        """Return the columns with drift, the largest first."""
        return [column for column in self.columns if column.drift]


def describe_evaluation(facts: EvaluationFacts) -> EvaluationView:
    """Return the view of an evaluation."""
    evaluation = facts.evaluation
    columns, performance = describe_columns(evaluation), describe_performance(evaluation)
    return EvaluationView(
        project=facts.project,
        dataset=facts.dataset,
        evaluation=evaluation,
        outcome=worst_check_outcome(check.counts_as for check in facts.checks) if facts.checks else None,
        summary=summarize_evaluation(facts, columns),
        reference=describe_reference(facts),
        headlines=list_headlines(facts),
        columns=columns,
        importance=describe_importance(evaluation),
        prediction=describe_predictions(evaluation),
        prediction_columns=describe_prediction_columns(evaluation),
        performance=performance if any(row.batch.value is not None for row in performance) else (),
        estimates=describe_estimates(evaluation, facts.find_leading_metric()),
        challenger=describe_challenger(evaluation, facts.find_leading_metric()),
        segments=describe_segments(evaluation, facts.find_leading_metric()),
        checks=group_checks(facts.checks),
        histories=tuple(
            _describe_history(metric, facts.history.get(metric, ()), facts) for metric in facts.list_followed_metrics()
        ),
        spec=facts.spec,
        run_url=facts.run_url,
    )


def describe_reference(facts: EvaluationFacts) -> str:
    """Return a description of what an evaluation was compared with; empty if its facts do not contain it."""
    evaluation = facts.evaluation
    reference = evaluation.facts.get("reference", {})
    match reference.get("kind"):
        case "model_test":
            return f"the held-out rows of model {evaluation.model}"
        case "dataset":
            return f"dataset {reference['dataset']}"
        case "evaluation" | "rolling" | "same_period" if "datasets" in reference:
            return f"itself, because {facts.why_own_reference}"
        case "evaluation" | "rolling" | "same_period":
            names = list(reference["evaluations"])
            return f"{'evaluation' if len(names) == 1 else 'evaluations'} {join_words(names)}"
    return ""


def _describe_history(metric: str, points: Sequence[MetricPoint], facts: EvaluationFacts) -> HistoryView:
    """Return a metric over time; the checks of the evaluation itself may be newer than those of the store."""
    value, id_ = facts.evaluation.find_value(metric), facts.evaluation.id
    own = [one.bounds for one in facts.checks if one.metric == metric and one.value == value]
    shown = tuple(point for point in points if point.value is not None)
    applied = (own if one.evaluation == id_ else facts.applied.get((one.evaluation, metric), ()) for one in shown)
    return HistoryView(metric, shown, tuple(map(select_first_range, applied)))
