"""The estimated performance of a batch as metrics, computed from the scored rows of batch and reference alone."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from engine import drift, models
from engine.evaluation.record import MetricValue
from engine.evaluation.snapshots.scored_rows import PREDICTED, SCORE, TRUTH, ScoredRows
from engine.formatting.numbers import format_figure
from engine.spec.metrics.catalogue import ESTIMATED_BY_TASK
from engine.spec.resources.models import CostMatrix

if TYPE_CHECKING:  # imported at first use: a run in which nothing changed needs none of them
    from engine.models import Contradiction, Estimates, KnownRows, Rows

Floats = npt.NDArray[np.float64]

OWN_REFERENCE = "the batch is its own reference, so its labels cannot predict the outcomes of other rows"
NOT_KEPT = "keeps no rows to estimate from: it was measured before the store declared `estimates`"
NO_PROBABILITIES = (
    "the model gives no probabilities, and with more than two classes its predictions alone do not suffice"
)


@dataclass(frozen=True, slots=True)
class EstimateSettings:
    """Settings of performance estimation.

    Attributes
    ----------
    task
        The task of the model.
    method
        `auto` weights the reference if the drift model finds drift; the others state whether to.
    own_reference
        Whether the batch is compared with itself.
    """

    task: str
    method: Literal["auto", "calibrated", "reweighted"]
    cost_matrix: CostMatrix | None = None
    confidence: float = 0.95
    max_rows: int = 100_000
    seed: int = 0
    own_reference: bool = False


@dataclass(frozen=True, slots=True)
class Estimation:
    """Estimated performance as metrics of an evaluation, the data behind it, and notes."""

    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    detail: models.EstimateDetail | None = None
    notes: tuple[str, ...] = ()


def estimate_batch(
    batch: ScoredRows | None,
    reference: ScoredRows | None,
    settings: EstimateSettings,
    *,
    roles: Mapping[str, drift.Role],
    entity: str | None,
    moved: bool | None,
    unscored: str = "",
) -> Estimation:
    """Estimate the performance on a batch.

    Parameters
    ----------
    batch, reference
        The scored rows of both sides; None if a snapshot has none.
    roles
        The columns by which rows of the reference are weighted.
    entity
        The common entity of both sides.
    moved
        Whether the drift model finds drift; None if unknown.
    unscored
        The reason why the rows of the batch were not scored, if so.
    """
    task = settings.task
    if unscored:
        return _refuse_estimates(task, unscored, failed=True)
    if settings.own_reference:
        return _refuse_estimates(task, OWN_REFERENCE, fine=True)
    if batch is None or reference is None:
        return _refuse_estimates(task, f"the {'batch' if batch is None else 'reference'} {NOT_KEPT}; evaluate it again")
    if batch.scored_by != reference.scored_by:
        return _refuse_estimates(task, "the reference was scored by another version of the model, whose scores differ")
    if batch.classes != reference.classes:
        return _refuse_estimates(task, "the reference was scored with other classes")
    if task == "multiclass_classification" and f"{SCORE}0" not in reference.frame.columns:
        return _refuse_estimates(task, NO_PROBABILITIES)
    known = reference.frame.filter(pl.col(TRUTH).is_not_null())
    rows = batch.frame
    weights, outside, reason = np.ones(known.height), None, ""
    if settings.method == "reweighted" or (settings.method == "auto" and moved):
        weights, outside, reason = _weigh_rows(known, rows, roles, entity, settings)
        if reason:
            return _refuse_estimates(task, f"the rows of the reference cannot be weighted: {reason}")
    sides = _read_sides(known, rows, task, batch.classes, roles, entity, settings, weights)
    model = models.fit_reference(sides.known)
    if isinstance(model, str):
        return _refuse_estimates(task, model)
    blind = models.estimate_performance(sides.rows, model, reweighted=outside is not None)
    labelled = rows[TRUTH].is_not_null().to_numpy() & np.isfinite(sides.outcomes).all(axis=1)
    compared = models.Contradiction(reason="no labels")
    found = blind
    if labelled.any():
        of_labelled = sides.outcomes[labelled]
        compared = models.compare_with_labels(sides.rows.take(labelled), model, of_labelled)
        if models.are_enough(labelled, of_labelled, sides.rows.units, classes=task != "regression"):
            folds = drift.number_folds(rows, models.FOLDS, entity=entity, seed=settings.seed)
            found = models.correct_by_labels(sides.rows, model, labelled, np.nan_to_num(sides.outcomes), folds)
    return _describe_estimates(found, compared, int(labelled.sum()), outside, settings.confidence, task)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both sides as arrays; `outcomes` are those of the batch, NaN without a label."""

    known: KnownRows
    rows: Rows
    outcomes: Floats


def _read_sides(
    known: pl.DataFrame,
    rows: pl.DataFrame,
    task: str,
    classes: tuple[str, ...],
    roles: Mapping[str, drift.Role],
    entity: str | None,
    settings: EstimateSettings,
    weights: Floats,
) -> _Sides:
    units = [
        models.Units(one.height, settings.confidence, models.number_entities(one, entity)) for one in (known, rows)
    ]
    gains = models.arrange_gains(settings.cost_matrix or CostMatrix())
    if task == "regression":
        outcomes = [
            models.measure_losses(one[TRUTH].fill_null(np.nan).to_numpy(), one[PREDICTED].to_numpy())
            for one in (known, rows)
        ]
        defined = np.isfinite(outcomes[0]).all(axis=0)
        # A loss that is undefined for a label of the batch is not a metric of the batch either.
        with_label = rows[TRUTH].is_not_null().to_numpy()
        defined &= np.isfinite(outcomes[1][with_label]).all(axis=0)
        losses = tuple(loss for loss, usable in zip(models.LOSSES, defined, strict=True) if usable)
        outcomes = [one[:, defined] for one in outcomes]
        scores = _score_losses(known, rows, outcomes[0], roles, entity, settings)
        predicted = models.Predicted(rows[PREDICTED].to_numpy())
        return _Sides(
            models.KnownRows(scores[0], outcomes[0], units[0], weights, classes=False),
            models.Rows(task, predicted, scores[1], units[1], gains, losses),
            outcomes[1],
        )
    k = len(classes)
    one_hot = [np.eye(k)[one[TRUTH].fill_null(0).to_numpy()] for one in (known, rows)]
    one_hot[1] = np.where(rows[TRUTH].is_null().to_numpy()[:, None], np.nan, one_hot[1])
    columns = [f"{SCORE}{i}" for i in range(k)]
    probabilities = set(columns) <= set(known.columns) & set(rows.columns)
    scores = [
        one.select(columns).to_numpy() if probabilities else np.eye(k)[one[PREDICTED].to_numpy()]
        for one in (known, rows)
    ]
    predicted = models.Predicted(rows[PREDICTED].to_numpy(), scores[1] if probabilities else None)
    return _Sides(
        models.KnownRows(scores[0], one_hot[0], units[0], weights, classes=True),
        models.Rows(task, predicted, scores[1], units[1], gains),
        one_hot[1],
    )


def _score_losses(
    known: pl.DataFrame,
    rows: pl.DataFrame,
    losses: Floats,
    roles: Mapping[str, drift.Role],
    entity: str | None,
    settings: EstimateSettings,
) -> list[Floats]:
    """Return for both sides a score on which the losses depend, shape (rows, 1) each.

    Trees predict from the columns and the prediction whether the error of a row is above the median; each row of the
    reference is predicted by trees that were not trained on it. If there are too few rows for trees, the score is the
    prediction.
    """
    if losses.shape[1] and rows.height:
        above = losses[:, 0] > np.median(losses[:, 0]) if known.height else np.zeros(0, bool)
        odds = drift.cross_fit_log_odds(
            known,
            rows,
            {**_shared_roles(roles, known, rows), PREDICTED: drift.Role.NUMERICAL},
            chosen=above,
            entity=entity,
            max_rows=settings.max_rows,
            seed=settings.seed,
        )
        if not isinstance(odds, str):
            return [one[:, None] for one in odds]
    return [one[PREDICTED].to_numpy()[:, None] for one in (known, rows)]


def _shared_roles(roles: Mapping[str, drift.Role], known: pl.DataFrame, rows: pl.DataFrame) -> dict[str, drift.Role]:
    return {name: role for name, role in roles.items() if name in known.columns and name in rows.columns}


def _weigh_rows(
    known: pl.DataFrame,
    rows: pl.DataFrame,
    roles: Mapping[str, drift.Role],
    entity: str | None,
    settings: EstimateSettings,
) -> tuple[Floats, float | None, str]:
    """Return weights of the reference's rows, and the share of the batch that no row resembles; or why there are none.

    The labelled rows are weighted to represent the whole batch: this also corrects for labels of the reference that are
    missing for a reason visible in the columns.
    """
    odds = drift.cross_fit_log_odds(
        known, rows, _shared_roles(roles, known, rows), entity=entity, max_rows=settings.max_rows, seed=settings.seed
    )
    if isinstance(odds, str):
        return np.ones(known.height), None, odds
    weights, outside = models.weigh_reference(*odds)
    numerical = [name for name, role in _shared_roles(roles, known, rows).items() if role is drift.Role.NUMERICAL] + [
        name for name in known.columns if name.startswith(SCORE) and name in rows.columns
    ][1:]
    sides = [_read_numbers(one, numerical) for one in (known, rows)]
    return models.balance_weights(weights, *sides), outside, ""


def _read_numbers(frame: pl.DataFrame, names: list[str]) -> Floats:
    """Return numerical columns, NaN if a value is missing or not a number."""
    columns = [frame[name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy() for name in names]
    return np.stack(columns, axis=1) if columns else np.zeros((frame.height, 0))


def _refuse_estimates(task: str, reason: str, *, failed: bool = False, fine: bool = False) -> Estimation:
    """Return the metrics without a value, with the reason."""
    nothing = MetricValue(None, reason=reason, failed=failed, counts_as_ok=fine)
    names = [f"estimated_{name}" for name in ESTIMATED_BY_TASK[task]]
    return Estimation(dict.fromkeys([*names, "estimate_contradicted", "estimate_effective_rows"], nothing))


def _describe_estimates(
    found: Estimates, compared: Contradiction, labelled: int, outside: float | None, confidence: float, task: str
) -> Estimation:
    if found.method is None:
        return _refuse_estimates(task, next(iter(found.reasons.values())))
    metrics = {}
    for name, value in found.metrics.items():
        low, high = found.intervals.get(name, (None, None))
        reason = found.reasons.get(name) or found.interval_reasons.get(name)
        metrics[f"estimated_{name}"] = MetricValue(value, low, high, reason=reason)
    worst = compared.compared[0] if compared.compared else None
    contradicted = worst is not None and worst.p_value < 1 - confidence
    metrics["estimate_contradicted"] = (
        MetricValue(float(contradicted), p_value=worst.p_value)
        if worst
        else MetricValue(
            None, reason=compared.reason or "no metric of the labelled rows can be compared", counts_as_ok=True
        )
    )
    metrics["estimate_effective_rows"] = MetricValue(found.effective_units)
    notes = []
    if worst is not None and contradicted:
        notes.append(
            f"the labels of {compared.rows:,} rows contradict the estimate: {worst.metric} is "
            f"{format_figure(worst.realised)} on them, where {format_figure(worst.expected)} was to be expected "
            f"(p {worst.p_value:.2g}): rows with these scores no longer have the outcomes of the reference"
        )
    if outside:
        notes.append(
            f"{outside:.1%} of the batch lies where the reference has hardly any row (less than one for "
            f"{models.LARGEST_WEIGHT:g} of the batch): the estimates are unreliable there"
        )
    detail = models.EstimateDetail(
        found.method,
        found.rows,
        labelled,
        found.reference_rows,
        found.effective_units or 0.0,
        outside,
        compared.compared,
    )
    return Estimation(metrics, detail, tuple(notes))
