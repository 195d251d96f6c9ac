"""Performance on stored scored rows with a label, for groups of rows that are found later."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from dataclasses import replace
from math import sqrt

import numpy as np
import numpy.typing as npt
import polars as pl

from engine import models
from engine.evaluation.record import MetricValue
from engine.evaluation.snapshots.scored_rows import PREDICTED, SCORE, TRUTH, ScoredRows
from engine.models.estimation.expected_metrics import Expected
from engine.models.metrics.intervals import interval_of_sums
from engine.spec.metrics.catalogue import ESTIMATED_BY_TASK
from engine.spec.resources.models import CostMatrix

Floats = npt.NDArray[np.float64]


def name_loss(scored: ScoredRows) -> str:
    """Return the metric that is the mean of the losses of `measure_losses`; for the accuracy it is 1 minus the mean."""
    if scored.task == "regression":
        return "mae"
    return "accuracy" if _read_probabilities(scored) is None else "brier"


def measure_losses(scored: ScoredRows) -> Floats:
    """Return the loss of each row, shape (rows,), NaN without a label: their mean is the metric of `name_loss`."""
    truth = scored.frame[TRUTH].cast(pl.Float64).fill_null(np.nan).to_numpy()
    predicted = scored.frame[PREDICTED].to_numpy().astype(np.float64)
    if scored.task == "regression":
        return np.asarray(np.abs(truth - predicted))
    scores = _read_probabilities(scored)
    if scores is None:
        return np.where(np.isnan(truth), np.nan, truth != predicted)
    squares = np.asarray(((scores - _encode_truth(scored.frame[TRUTH], scores.shape[1])) ** 2).sum(axis=1))
    return np.where(np.isnan(truth), np.nan, squares / (2 if scores.shape[1] == 2 else 1))


def measure_scored_rows(
    scored: ScoredRows, cost_matrix: CostMatrix | None, *, entity: str | None, confidence: float
) -> dict[str, MetricValue]:
    """Return the performance metrics that can be computed from stored rows, with intervals, and `labelled_share`."""
    names = ESTIMATED_BY_TASK[scored.task]
    known = scored.frame.filter(pl.col(TRUTH).is_not_null())
    share = known.height / scored.frame.height if scored.frame.height else None
    found = {"labelled_share": MetricValue(share, reason=None if share is not None else "there are no rows")}
    if not known.height:
        return found | dict.fromkeys(names, MetricValue(None, reason="no labels", counts_as_ok=True))
    units = models.Units(known.height, confidence, models.number_entities(known, entity))
    rows, outcomes = _arrange_rows(replace(scored, frame=known), cost_matrix, units)
    measured = rows.measure(outcomes, np.zeros_like(outcomes), np.ones(len(outcomes)))
    return found | {name: _add_interval(measured[name], rows, outcomes) for name in names}


def compare_losses(before: Floats, now: Floats) -> float:
    """Return the p-value of a higher mean of the second sample, one-sided (Welch 1947); 1 without any variance."""
    from scipy.special import stdtr  # imported late: a run in which nothing changed needs no test

    if min(len(before), len(now)) < 2:
        return 1.0
    parts = [float(one.var(ddof=1)) / len(one) for one in (before, now)]
    if not sum(parts):
        return 1.0
    t = (now.mean() - before.mean()) / sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(p**2 / (len(one) - 1) for p, one in zip(parts, (before, now), strict=True))
    return float(stdtr(freedom, -t))


def average_by_entity(losses: Floats, frame: pl.DataFrame, entity: str | None) -> Floats:
    """Return the mean loss of each entity (or row without an entity) over the rows with a known loss."""
    known = np.isfinite(losses)
    numbers = models.number_entities(frame.filter(pl.Series(known)), entity)
    if numbers is None:
        return losses[known]
    return np.asarray(np.bincount(numbers, losses[known]) / np.bincount(numbers))


def _read_probabilities(scored: ScoredRows) -> Floats | None:
    columns = [f"{SCORE}{i}" for i in range(len(scored.classes))]
    return scored.frame.select(columns).to_numpy() if set(columns) <= set(scored.frame.columns) else None


def _encode_truth(truth: pl.Series, classes: int) -> Floats:
    return np.asarray(np.eye(classes)[truth.fill_null(0).to_numpy()])


def _arrange_rows(
    scored: ScoredRows, cost_matrix: CostMatrix | None, units: models.Units
) -> tuple[models.Rows, Floats]:
    """Return rows that all have a label, and their outcomes."""
    gains = models.arrange_gains(cost_matrix or CostMatrix())
    frame = scored.frame
    if scored.task == "regression":
        losses = models.measure_losses(frame[TRUTH].to_numpy(), frame[PREDICTED].to_numpy())
        defined = np.asarray(np.isfinite(losses).all(axis=0))
        names = tuple(name for name, usable in zip(models.LOSSES, defined, strict=True) if usable)
        predicted = models.Predicted(frame[PREDICTED].to_numpy())
        return models.Rows(scored.task, predicted, np.zeros((frame.height, 1)), units, gains, names), losses[:, defined]
    scores = _read_probabilities(scored)
    outcomes = _encode_truth(frame[TRUTH], len(scored.classes))
    predicted = models.Predicted(frame[PREDICTED].to_numpy(), scores)
    return models.Rows(scored.task, predicted, outcomes if scores is None else scores, units, gains), outcomes


def _add_interval(of: Expected | str, rows: models.Rows, outcomes: Floats) -> MetricValue:
    if isinstance(of, str):
        return MetricValue(None, reason=of)
    influence = (np.broadcast_to(of.influence, outcomes.shape) * outcomes).sum(axis=1)
    sums = rows.units.add_up(influence - influence.mean())
    bounds = interval_of_sums(of.value, float((sums * sums).sum()), rows.units, of.scale)
    return MetricValue(of.value, reason=bounds) if isinstance(bounds, str) else MetricValue(of.value, *bounds)
