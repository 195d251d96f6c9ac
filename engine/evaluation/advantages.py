"""The metrics of a challenger: its advantage over the store's model on the rows of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from engine import drift
from engine.data import Table, explain_read_errors, hash_table_rows
from engine.errors import ModelError
from engine.evaluation.observation import prepare_scoring, score_rows
from engine.evaluation.performance.measured_predictions import performance_metrics
from engine.evaluation.record import MetricValue
from engine.formatting.numbers import format_count
from engine.models import Advantage, FittedModel, measure_advantage
from engine.models.spark_pairs import Columns, ScoredSide, score_spark_pair
from engine.spec.metrics.catalogue import CHALLENGER_METRICS, METRICS_BY_TASK
from engine.spec.metrics.names import MetricName
from engine.spec.resources.models import CostMatrix

OF_ROWS = ("labelled_share", "prediction_missing_share")
"""Performance metrics that describe the rows rather than a model."""


def is_of_challenger(metric: str) -> bool:
    """Return whether a metric exists only in stores with a challenger."""
    return metric.partition(".")[0] in CHALLENGER_METRICS


@dataclass(frozen=True, slots=True)
class RivalScores:
    """Scores of the rows of a batch by champion and challenger, and the row hashes by columns, in the same order."""

    scored: tuple[pl.DataFrame, pl.DataFrame]
    hashes: Mapping[Columns, npt.NDArray[np.uint64]]


def score_by_both(
    champion: FittedModel,
    challenger: FittedModel,
    table: Table,
    scored: pl.DataFrame | None,
    known: Mapping[str, drift.KnownColumn],
    hashed: Sequence[Columns],
) -> RivalScores:
    """Score the rows of a batch with a challenger; rows in Spark with the champion as well.

    Parameters
    ----------
    scored
        The champion's scores, in the order of the rows; not needed for rows in Spark.
    known
        The types and other facts of the columns in the reference.
    hashed
        The sets of columns to hash, one hash per set.

    Raises
    ------
    ModelError
        The challenger cannot score the rows.
    """
    with explain_read_errors(table):
        alignment = drift.align_columns(table.frame, known, side=f"dataset {table.name!r}")
        if table.spark is None:
            found, unscored = score_rows(challenger, table, alignment)
            if unscored or scored is None:
                raise ModelError(unscored)
            return RivalScores((scored, found), dict(zip(hashed, hash_table_rows(table, *hashed), strict=True)))
        sides = []
        for model in (champion, challenger):
            of_model, kept, obstacle = prepare_scoring(model, table, alignment)
            if obstacle:
                raise ModelError(obstacle)
            sides.append(ScoredSide(model, of_model.expressions, kept))
        (first, second), hashes = score_spark_pair(sides, table.spark, hashed)
        return RivalScores((first, second), hashes)


def compare_on_rows(
    champion: FittedModel,
    challenger: FittedModel,
    table: Table,
    scored: tuple[pl.DataFrame, pl.DataFrame],
    *,
    seen: npt.NDArray[np.bool_] | None,
    cost_matrix: CostMatrix | None,
    confidence: float,
) -> tuple[dict[str, MetricValue], tuple[str, ...]]:
    """Compare a challenger with the champion on the rows of a batch.

    Parameters
    ----------
    scored
        The scores by both, as in `RivalScores`.
    seen
        Mask of the rows on which one of the models was trained; they are left out. None for no row.

    Returns
    -------
    metrics, notes
    """
    found = measure_advantage(
        champion,
        challenger,
        scored,
        cost_matrix,
        table.name_row,
        seen=seen,
        entity=table.entity,
        confidence=confidence,
    )
    left_out = f"{format_count(found.seen, 'row')} with a label"
    notes = [f"challenger {challenger.name} is not compared on {left_out}: a model was trained on them"]
    return advantage_metrics(found), tuple(notes if found.seen else ())


def advantage_metrics(found: Advantage) -> dict[str, MetricValue]:
    """Return the challenger's advantage as metric values, with the low ends of its intervals and its performance."""
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
