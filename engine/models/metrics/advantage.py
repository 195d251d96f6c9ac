"""Compare a challenger with a champion: the advantage by each metric, on the rows where both can be measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.models.classes import label_of
from engine.models.fitted_model import FittedModel
from engine.models.metrics.classification import Bools, Floats, arrange_gains, find_calibration_bins
from engine.models.metrics.classification_intervals import calibration_excess
from engine.models.metrics.influences import Influences, binary_influences, multiclass_influences, regression_influences
from engine.models.metrics.intervals import IntervalOrReason, Units
from engine.models.metrics.paired_intervals import (
    PERFECT,
    explain_few_differing,
    paired_interval,
    paired_jackknife_interval,
    paired_share_interval,
)
from engine.models.metrics.performance import (
    Outcomes,
    Performance,
    find_labelled,
    find_predicted,
    measure_performance,
    number_entities,
    read_outcomes,
)
from engine.models.metrics.regression_intervals import JACKKNIFED, measure_without_unit
from engine.spec.metrics.catalogue import METRICS_BY_TASK
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName
from engine.spec.resources.models import CostMatrix

SHARES_OF_RIGHT = ("accuracy", "recall_weighted", "hamming_loss")
"""Metrics that count right or wrong rows; for a binary task, `recall` does so among the positive rows."""
OF_CLASSES = ("precision", "recall", "f1", "precision_weighted", "f1_weighted", "mcc", "cost_matrix_gain")
"""Metrics of the predicted classes; all others are metrics of probabilities or numbers."""


@dataclass(frozen=True, slots=True)
class Advantage:
    """How much better a challenger is than a champion, by metric, on the same rows.

    `metrics` holds every metric of the task: the challenger's value minus the champion's, with the opposite sign where
    lower is better; if it is None, `reasons` has the reason. `intervals` are paired; if a value has none,
    `interval_reasons` has the reason. `champion` and `challenger` are their performances on these rows, whose number is
    `rows`; `seen` is the number of labelled rows that were left out because a model was trained on them.
    """

    metrics: Mapping[str, float | None]
    reasons: Mapping[str, str]
    champion: Performance
    challenger: Performance
    rows: int
    seen: int = 0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    interval_reasons: Mapping[str, str] = field(default_factory=dict)


def measure_advantage(
    champion: FittedModel,
    challenger: FittedModel,
    scored: tuple[pl.DataFrame, pl.DataFrame],
    cost_matrix: CostMatrix | None = None,
    name_row: Callable[[int], str] = "row {}".format,
    *,
    seen: npt.NDArray[np.bool_] | None = None,
    entity: str | None = None,
    confidence: float = 0.95,
) -> Advantage:
    """Measure a challenger against a champion on the rows that have a label and predictions of both.

    Parameters
    ----------
    scored
        The scores of the same rows in the same order by the champion and by the challenger, with the target column.
    cost_matrix
        The gains for `cost_matrix_gain`, of both models; None for the default gains.
    name_row
        Describes the place of a row, counted from 1, for messages.
    seen
        Mask of the rows on which a model was trained, shape (n,), which are left out. None for no row.
    entity
        Column that identifies the entity of a row: intervals then treat entities, not rows, as independent.
    confidence
        The confidence level of the intervals.

    Returns
    -------
    Advantage
        Without any value if the models have different positive classes.
    """
    both = find_labelled(champion, scored[0])
    for frame in scored:
        predicted = find_predicted(frame)
        both &= predicted if predicted.any() else frame["prediction"].is_not_null().to_numpy()
    used = both if seen is None else both & ~seen
    places = np.flatnonzero(used)
    # If no row is left, measure all rows for the reason: no labels, or no predictions.
    frames = [frame.filter(pl.Series(used)) if both.any() else frame for frame in scored]
    first, second = (
        measure_performance(
            model,
            frame,
            cost_matrix,
            lambda row: name_row(int(places[row - 1]) + 1 if len(places) else row),
            entity=entity,
            confidence=confidence,
        )
        for model, frame in zip((champion, challenger), frames, strict=True)
    )
    left_out = int(both.sum()) - len(places)
    found = {name: _subtract(name, first, second, left_out) for name in METRICS_BY_TASK[champion.task]}
    if (reason := _explain_other_classes(champion, challenger)) is not None:
        found = dict.fromkeys(found, reason)
    values = {name: value for name, value in found.items() if isinstance(value, float)}
    intervals: dict[str, IntervalOrReason] = {}
    if values:
        units = Units(len(places), confidence, number_entities(frames[0], entity))
        one, two = read_outcomes(champion, frames[0]), read_outcomes(challenger, frames[1])
        if not isinstance(one, str) and not isinstance(two, str):
            gains = arrange_gains(cost_matrix or CostMatrix())
            pair = _Pair(
                units,
                _Side(champion.task, one, first.metrics, gains),
                _Side(challenger.task, two, second.metrics, gains),
            )
            with np.errstate(all="ignore"):
                intervals = {name: pair.find_interval(name, value) for name, value in values.items()}
    return Advantage(
        {name: value if isinstance(value, float) else None for name, value in found.items()},
        {name: value for name, value in found.items() if isinstance(value, str)},
        first,
        second,
        rows=len(places),
        seen=left_out,
        intervals={name: bound for name, bound in intervals.items() if not isinstance(bound, str)},
        interval_reasons={name: bound for name, bound in intervals.items() if isinstance(bound, str)},
    )


def _subtract(name: str, champion: Performance, challenger: Performance, seen: int) -> float | str:
    """Return the advantage of a challenger by one metric, or the reason why there is none."""
    first, second = champion.metrics[name], challenger.metrics[name]
    if first is not None and second is not None:
        return _sign_of(name) * (second - first)
    if seen and not champion.rows:
        return f"one of the models was trained on {'the row' if seen == 1 else f'all {seen:,} rows'} with a label"
    who, lacking = ("champion", champion) if first is None else ("challenger", challenger)
    reason = lacking.reasons[name]
    return reason if lacking.unlabelled else f"unknown for the {who}: {reason}"


def _sign_of(metric: str) -> int:
    """Return -1 for a metric where lower is better, else 1."""
    return -1 if find_metric_definition(MetricName(metric), "store").worse == "higher" else 1


def _explain_other_classes(champion: FittedModel, challenger: FittedModel) -> str | None:
    """Return why two models of a binary task cannot be compared: their positive classes differ; else None."""
    if champion.positive is None or challenger.positive is None:
        return None
    first, second = label_of(champion.positive), label_of(challenger.positive)
    if first == second:
        return None
    return (
        f"the positive class of {champion.name} is {first}, that of {challenger.name} is {second}: "
        "declare the same positive: for both"
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One model's predictions for the rows, its value of each metric, and the gains of both models."""

    task: str
    outcomes: Outcomes
    values: Mapping[str, float | None]
    gains: Floats

    @property
    def right(self) -> Bools:
        """The mask of rows whose class is predicted correctly, shape (n,)."""
        return np.asarray(self.outcomes.truth == self.outcomes.predicted)

    def list_influences(self) -> Influences:
        """Return the functions that compute the influence of each row, by metric."""
        of, values = self.outcomes, {name: value for name, value in self.values.items() if value is not None}
        match self.task:
            case "regression":
                return regression_influences(of.truth, of.predicted, values)
            case "binary_classification":
                return binary_influences(of.truth, of.predicted, of.probability, values, self.gains)
        return multiclass_influences(of.truth, of.predicted, of.probability, len(of.classes))

    def find_calibration_excess(self, of: Units) -> float:
        """Return the maximum by which chance alone raises the calibration error."""
        probability = self.outcomes.probability
        if probability is None:
            raise ValueError("a model without probabilities has no calibration error")
        if probability.ndim == 1:
            return calibration_excess(find_calibration_bins(probability), probability - self.outcomes.truth, of)
        confident, hit = probability.max(axis=1), probability.argmax(axis=1) == self.outcomes.truth
        return calibration_excess(find_calibration_bins(confident), confident - hit, of)


class _Pair:
    """Two models on the same rows; finds the interval of the second one's advantage, metric by metric."""

    def __init__(self, of: Units, champion: _Side, challenger: _Side) -> None:
        self.of, self.champion, self.challenger = of, champion, challenger
        self.first, self.second = champion.list_influences(), challenger.list_influences()
        one, two = champion.outcomes, challenger.outcomes
        self.other_classes = _label_rows(one) != _label_rows(two)
        self.other_numbers = self.other_classes
        if one.probability is not None and two.probability is not None:
            off = one.probability != two.probability if one.probability.shape == two.probability.shape else True
            rows = np.broadcast_to(np.asarray(off), one.probability.shape)
            self.other_numbers = rows if rows.ndim == 1 else rows.any(axis=1)

    def find_interval(self, name: str, value: float) -> IntervalOrReason:
        found = self._find_interval(name, value)
        if isinstance(found, str):
            return found
        range_ = find_metric_definition(MetricName("advantage", name), "store")
        low, high = -np.inf if range_.low is None else range_.low, np.inf if range_.high is None else range_.high
        return float(max(found[0], low)), float(min(found[1], high))

    def _find_interval(self, name: str, value: float) -> IntervalOrReason:
        of, truth = self.of, self.champion.outcomes.truth
        binary = self.champion.task == "binary_classification"
        if name in SHARES_OF_RIGHT or (binary and name == "recall"):
            trials = truth if name == "recall" else np.ones(of.rows, dtype=bool)
            return paired_share_interval(self.champion.right, self.challenger.right, trials, of)
        differing = self.other_classes if name in OF_CLASSES else self.other_numbers
        if (few := explain_few_differing(differing, of)) is not None:
            return few
        sign = _sign_of(name)
        if name in JACKKNIFED:
            first, second = (
                measure_without_unit(name, truth, side.outcomes.predicted, of)
                for side in (self.champion, self.challenger)
            )
            return paired_jackknife_interval(value, sign * first, sign * second, of)
        of_area = binary and name == "roc_auc"
        if of_area and {self.champion.values[name], self.challenger.values[name]} & {0.0, 1.0}:
            return PERFECT
        excess = (0.0, 0.0)
        if name == "calibration_error":  # the advantage is the champion's error minus the challenger's
            excess = self.champion.find_calibration_excess(of), self.challenger.find_calibration_excess(of)
        return paired_interval(
            value,
            sign * (self.second[name]() - self.first[name]()),
            of,
            truth=truth if of_area else None,
            excess=excess,
        )


def _label_rows(outcomes: Outcomes) -> npt.NDArray[Any]:
    """Return the predictions in a form that can be compared between two models, shape (n,)."""
    if not outcomes.classes or outcomes.predicted.dtype == bool:
        return outcomes.predicted
    return np.asarray(np.array([label_of(one) for one in outcomes.classes])[outcomes.predicted])
