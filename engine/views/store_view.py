"""View of an evaluation store: its evaluations with displayed metrics and the outcomes of checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.evaluation.record import Evaluation, EvaluationTime, MetricValue
from engine.outcome import CheckOutcome, worst_check_outcome


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One evaluation of a store.

    `metrics` are the displayed ones that the evaluation has. `outcomes` holds, by check, the outcome when it was last
    applied to the evaluation; for a wildcard check, the worst. `superseded_by` and `same_data_as` are ids of other
    evaluations. `release` and `revision` are the bundle and the revision of the deployment that made it; `origin` and
    `infrastructure` are the deployment from which it was pulled and its infrastructure.
    """

    id: str
    name: str
    created: datetime
    labels: Mapping[str, str]
    rows: int
    metrics: Mapping[str, MetricValue]
    outcomes: Mapping[str, CheckOutcome]
    time: EvaluationTime | None = None
    superseded_by: str | None = None
    same_data_as: str | None = None
    release: str | None = None
    revision: int | None = None
    origin: str | None = None
    infrastructure: str | None = None


@dataclass(frozen=True, slots=True)
class StoreView:
    """Evaluations of a store, oldest first, and the displayed metrics."""

    name: str
    metrics: tuple[str, ...]
    evaluations: tuple[EvaluationRow, ...]

    def list_reasons(self) -> list[str]:
        """Return the reasons why displayed metrics have no value, each reason once."""
        reasons = {
            f"{metric} is unknown: {measured.reason}": None
            for evaluation in self.evaluations
            for metric, measured in evaluation.metrics.items()
            if measured.value is None and measured.reason
        }
        return list(reasons)


def describe_store(
    name: str,
    metrics: Sequence[str],
    evaluations: Sequence[Evaluation],
    outcomes: Mapping[str, Mapping[str, Sequence[CheckOutcome]]],
) -> StoreView:
    """Return the view of a store's evaluations.

    Parameters
    ----------
    metrics
        The metrics to display; `drift.*` stands for the drift of every column that any of the evaluations has.
    evaluations
        Oldest first.
    outcomes
        The outcomes of the checks when they were last applied, by the evaluation's id and the check's name.
    """
    shown = dict.fromkeys(metric for wanted in metrics for metric in _expand_wildcard(wanted, evaluations))
    return StoreView(
        name=name,
        metrics=tuple(shown),
        evaluations=tuple(
            EvaluationRow(
                id=one.id,
                name=one.name,
                created=one.created,
                labels=one.labels,
                rows=one.rows_read,
                metrics={metric: one.metrics[metric] for metric in shown if metric in one.metrics},
                outcomes={check: worst_check_outcome(found) for check, found in outcomes.get(one.id, {}).items()},
                time=one.time,
                superseded_by=one.superseded_by,
                same_data_as=one.same_data_as,
                release=one.release,
                revision=one.revision,
                origin=one.origin,
                infrastructure=one.infrastructure,
            )
            for one in evaluations
        ),
    )


def _expand_wildcard(wanted: str, evaluations: Sequence[Evaluation]) -> list[str]:
    if not wanted.endswith(".*"):
        return [wanted]
    return [metric for one in evaluations for metric in one.metrics if metric.startswith(wanted[:-1])]
