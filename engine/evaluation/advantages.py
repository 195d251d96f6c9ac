"""The metrics of a challenger: how much better it is than the model of the store on the rows of a batch."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from engine import drift
from engine.data import Table, explain_read_errors
from engine.errors import ModelError
from engine.evaluation.measured_predictions import performance_metrics
from engine.evaluation.observation import Observation, score_rows
from engine.evaluation.record import MetricValue
from engine.models import Advantage, FittedModel, measure_advantage
from engine.spec.metric_catalogue import CHALLENGER_METRICS, METRICS_BY_TASK
from engine.spec.metric_names import MetricName
from engine.spec.resources.models import CostMatrix

OF_ROWS = ("labelled_share", "prediction_missing_share")
"""Metrics among those of a performance that describe rows, not a model."""


def is_of_challenger(metric: str) -> bool:
    """Return whether a metric is one that a store has only with a challenger."""
    return metric.partition(".")[0] in CHALLENGER_METRICS


def compare_on_rows(
    challenger: FittedModel,
    champion: FittedModel,
    table: Table,
    observed: Observation,
    known: Mapping[str, drift.KnownColumn],
    *,
    seen: npt.NDArray[np.bool_] | None,
    cost_matrix: CostMatrix | None,
    confidence: float,
) -> tuple[dict[str, MetricValue], tuple[str, ...]]:
    """Score the rows of a batch with a challenger, and compare it with the champion that has scored them.

    Parameters
    ----------
    table, observed
        The batch, and what was measured of it with the champion.
    known
        What the reference knows of the columns.
    seen
        The rows that one of the models was trained on, which are left out; None for no row.

    Returns
    -------
    metrics, notes

    Raises
    ------
    ModelError
        The challenger cannot score the rows.
    """
    if observed.scored is None or observed.snapshot.unscored:
        why = f"{champion.name} has not scored the rows: {observed.snapshot.unscored}"
        return fail_advantage(champion.task, why), ()
    with explain_read_errors(table):
        alignment = drift.align_columns(table.frame, known, side=f"dataset {table.name!r}")
        scored, unscored = score_rows(challenger, table, alignment)
    if unscored:
        raise ModelError(unscored)
    found = measure_advantage(
        champion,
        challenger,
        (observed.scored, scored),
        cost_matrix,
        table.name_row,
        seen=seen,
        entity=table.entity,
        confidence=confidence,
    )
    left_out = f"{found.seen:,} {'row' if found.seen == 1 else 'rows'} with a label"
    notes = [f"challenger {challenger.name} is not compared on {left_out}: a model was trained on them"]
    return advantage_metrics(found), tuple(notes if found.seen else ())


def advantage_metrics(found: Advantage) -> dict[str, MetricValue]:
    """Return the advantage of a challenger as metric values, with the low ends of its intervals and its performance."""
    metrics: dict[str, MetricValue] = {}
    for name, value in found.metrics.items():
        low, high = found.intervals.get(name, (None, None))
        reason = found.reasons.get(name) or found.interval_reasons.get(name)
        fine = value is None and found.champion.unlabelled
        metrics[str(MetricName("advantage", name))] = MetricValue(value, low, high, reason=reason, counts_as_ok=fine)
        metrics[str(MetricName("advantage_low", name))] = MetricValue(
            low, reason=None if low is not None else reason, counts_as_ok=fine
        )
    own = performance_metrics(found.challenger)
    return metrics | {str(MetricName("challenger", name)): one for name, one in own.items() if name not in OF_ROWS}


def fail_advantage(task: str, reason: str) -> dict[str, MetricValue]:
    """Return the metrics of a challenger that could not be compared, each with the reason: their checks are ERROR."""
    nothing = MetricValue(None, reason=reason, failed=True)
    return {str(MetricName(kind, name)): nothing for kind in CHALLENGER_METRICS for name in METRICS_BY_TASK[task]}
