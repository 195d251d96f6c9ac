"""Performance of a model on the rows with a label.

All metrics of a task are computed from one confusion matrix and one sort of the probabilities. scikit-learn's functions
would validate and sort a million rows again for each metric, and importing them takes longer than the computation; the
tests compare with them. An undefined metric has a reason, never NaN and never a conventional 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.formatting.lists import join_some
from engine.models.classes import (
    MAX_CLASSES,
    ClassValue,
    distinct_classes,
    encode_classes,
    find_foreign_classes,
    label_of,
    unite_classes,
)
from engine.models.fitted_model import FittedModel
from engine.models.metrics.classification import Intervals, MetricsOrReasons, measure_binary, measure_multiclass
from engine.models.metrics.intervals import Units
from engine.models.metrics.performance_detail import PerformanceDetail, RowCounts, describe_measured_rows
from engine.models.metrics.regression import measure_regression
from engine.spec.metrics.catalogue import METRICS_BY_TASK
from engine.spec.resources.models import CostMatrix


@dataclass(frozen=True, slots=True)
class Performance:
    """Performance of a model on one batch.

    `metrics` holds every metric of the task; if a value is None, `reasons` has the reason. `intervals` holds the low
    and high ends of their confidence intervals; if a value has none, `interval_reasons` has the reason. `rows` counts
    the rows with both a label and a prediction. `labelled_share` is the share of all rows with a label,
    `prediction_missing_share` the share without a prediction; None for zero rows. `unlabelled` is True if there are
    rows but no label. `detail` counts the rows by what they lack, and has confusion matrix and curves, or the plots of
    a regression.
    """

    metrics: Mapping[str, float | None]
    reasons: Mapping[str, str]
    rows: int
    labelled_share: float | None
    prediction_missing_share: float | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    interval_reasons: Mapping[str, str] = field(default_factory=dict)
    unlabelled: bool = False
    detail: PerformanceDetail = field(default_factory=PerformanceDetail)
    notes: tuple[str, ...] = ()


def find_labelled(model: FittedModel, scored: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Return for each scored row whether it has a label."""
    return _has_value(scored, model.target)


def find_predicted(scored: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Return for each scored row whether it has a prediction and all its probabilities, if the model gives them."""
    columns = [column for column in scored.columns if column.startswith("probability_")]
    complete = _has_value(scored, "prediction")
    for column in columns:
        complete = complete & _has_value(scored, column)  # not in place, because a column may be read-only
    return complete


def measure_performance(
    model: FittedModel,
    scored: pl.DataFrame,
    cost_matrix: CostMatrix | None = None,
    name_row: Callable[[int], str] = "row {}".format,
    *,
    entity: str | None = None,
    confidence: float = 0.95,
) -> Performance:
    """Measure a model on those of the scored rows that have a label and a prediction.

    Parameters
    ----------
    scored
        The scores, with the target column. If that column is absent or empty, there are no labels.
    cost_matrix
        The gain of a data row for each combination of true and predicted class, used by the metric `cost_matrix_gain`;
        None for the default gains.
    name_row
        Describes the place of a row, counted from 1, for messages.
    entity
        Column that identifies the entity of a row: intervals then treat entities, not rows, as independent.
    confidence
        The confidence level of the intervals.
    """
    labelled, predicted = find_labelled(model, scored), find_predicted(scored)
    missing_share = float((~predicted).mean()) if scored.height else None
    if not predicted.any():  # if probabilities are missing everywhere, the predicted classes can still be measured
        predicted = _has_value(scored, "prediction")
    used = labelled & predicted
    rows = int(used.sum())
    reason = _explain_lacking_rows(model, scored, labelled, predicted)
    unsuited = _describe_unsuited_labels(model, scored, name_row) if labelled.any() else ""
    if not reason:  # with more than two classes, unknown classes are measured as additional ones
        reason = model.undecided or (unsuited if model.task != "multiclass_classification" else "")
    found: MetricsOrReasons = dict.fromkeys(METRICS_BY_TASK[model.task], reason)
    bounds: Intervals = {}
    detail = PerformanceDetail()
    if not reason:
        frame = scored if rows == scored.height else scored.filter(pl.Series(used))
        units = Units(rows, confidence, number_entities(frame, entity))
        found, bounds, detail = _measure_task(model, frame, cost_matrix or CostMatrix(), units)
    metrics = {name: value if isinstance(value := found[name], float) else None for name in METRICS_BY_TASK[model.task]}
    counts = RowCounts(
        measured=rows,
        all=scored.height,
        without_label=int((~labelled).sum()),
        without_prediction=int((labelled & ~predicted).sum()),
    )
    return Performance(
        metrics,
        {name: value for name in metrics if isinstance(value := found[name], str)},
        rows,
        labelled_share=float(labelled.mean()) if scored.height else None,
        prediction_missing_share=missing_share,
        intervals={name: bound for name, bound in bounds.items() if not isinstance(bound, str)},
        interval_reasons={name: bound for name, bound in bounds.items() if isinstance(bound, str)},
        unlabelled=bool(scored.height) and not labelled.any(),
        detail=replace(detail, rows=counts),
        notes=_compose_notes(reason, unsuited, counts, int((~predicted).sum())),
    )


def _explain_lacking_rows(
    model: FittedModel, scored: pl.DataFrame, labelled: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]
) -> str:
    """Return the reason why no row can be measured, or an empty text."""
    if not scored.height:
        return "there are no rows"
    if not labelled.any():
        absent = model.target not in scored.columns
        return f"no labels: {'there is no' if absent else 'no row has a value in the'} target column {model.target!r}"
    if not predicted.any():
        return "no row has a prediction"
    return "" if (labelled & predicted).any() else "no row has a target value and a prediction"


def _describe_unsuited_labels(model: FittedModel, scored: pl.DataFrame, name_row: Callable[[int], str]) -> str:
    """Return which labels are not numbers, or not classes of the model, and where; an empty text if all are valid."""
    if model.target not in scored.columns:
        return ""
    labels = scored[model.target]
    if model.task == "regression":
        unsuited, what = _find_no_numbers(labels), "not a number"
    else:
        unsuited, what = encode_classes(labels, model.classes) == -2, f"none of the classes {join_some(model.classes)}"
    if not unsuited.any():
        return ""
    rows, first = int(unsuited.sum()), name_row(int(unsuited.argmax()) + 1)
    who = "1 row has a target value that is" if rows == 1 else f"{rows:,} rows have target values that are"
    return f"{who} {what}: {join_some(distinct_classes(labels.filter(pl.Series(unsuited))))}; the first is {first}"


def _find_no_numbers(values: pl.Series) -> npt.NDArray[np.bool_]:
    """Return for each value whether it is present but not a number; a text may hold a number."""
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return np.zeros(values.len(), dtype=bool)
    readable = values.dtype == pl.String or isinstance(values.dtype, pl.Categorical | pl.Enum)
    numbers = values.cast(pl.String).cast(pl.Float64, strict=False) if readable else None
    return (values.is_not_null() & (numbers.is_null() if numbers is not None else True)).to_numpy()


def _compose_notes(reason: str, unsuited: str, counts: RowCounts, unpredicted: int) -> tuple[str, ...]:
    """Return notes about the rows that could not be measured; none if all were.

    Labels that have not arrived yet are not mentioned: the metrics say so.
    """
    notes = [unsuited] if unsuited and reason != unsuited else []
    if counts.without_label == counts.all:
        return (f"{unpredicted:,} of {counts.all:,} rows have no prediction",) if unpredicted else ()
    if reason:
        notes.append(f"performance is not measured: {reason}")
    elif counts.measured < counts.all:
        notes.append(f"performance on {describe_measured_rows(counts)}")
    return tuple(notes)


def number_entities(frame: pl.DataFrame, entity: str | None) -> npt.NDArray[np.int64] | None:
    """Return the number of each row's entity, from 0 in the order of rows; None if every row is its own entity.

    A row without an entity counts as its own entity, as in the split of held-out rows.
    """
    if entity is None or entity not in frame.columns:
        return None
    numbered = frame.select(pl.col(entity).alias("entity")).with_row_index("row")
    first = pl.when(pl.col("entity").is_null()).then("row").otherwise(pl.col("row").min().over("entity"))
    first_rows = numbered.select(first.cast(pl.Int64).alias("first"))["first"].to_numpy()
    is_first = first_rows == np.arange(len(first_rows))
    return None if is_first.all() else np.cumsum(is_first)[first_rows] - 1


def _has_value(frame: pl.DataFrame, column: str) -> npt.NDArray[np.bool_]:
    """Return for each row whether the column has a value, neither null nor NaN; False if there is no such column."""
    if column not in frame.columns:
        return np.zeros(frame.height, dtype=bool)
    values = frame[column]
    present = values.is_not_null()
    return (present & values.is_not_nan().fill_null(value=False) if values.dtype.is_float() else present).to_numpy()


@dataclass(frozen=True, slots=True)
class Outcomes:
    """True and predicted values of n rows that all have both, as arrays.

    Attributes
    ----------
    truth, predicted
        Shape (n,): numbers of a regression, true where positive for a binary task, else indices of `classes`.
    probability
        Of the positive class, shape (n,); with more than two classes, of each class known to the model, shape (n,
        classes); None if the model gives none.
    classes
        First the classes known to the model, then others among labels and predictions; for a binary task the negative
        and the positive one. Empty for a regression.
    """

    truth: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    probability: npt.NDArray[np.float64] | None = None
    classes: tuple[ClassValue, ...] = ()


def read_outcomes(model: FittedModel, frame: pl.DataFrame) -> Outcomes | str:
    """Return labels and predictions of rows that all have both, or the reason why they cannot be measured."""
    truth = frame[model.target]
    if model.task == "regression":
        if isinstance(truth.dtype, pl.Categorical | pl.Enum):
            truth = truth.cast(pl.String)
        return Outcomes(truth.cast(pl.Float64).to_numpy(), frame["prediction"].cast(pl.Float64).to_numpy())
    classes = list(model.classes)
    # Classes among labels or predictions that the model does not know. A binary task cannot measure them; with more
    # classes they follow the known ones in the confusion matrix.
    foreign = unite_classes(find_foreign_classes(truth, classes), find_foreign_classes(frame["prediction"], classes))
    columns = [f"probability_{i}" for i in range(len(classes))]
    probabilities = frame.select(columns).to_numpy() if set(columns) <= set(frame.columns) and classes else None
    if model.positive is not None:
        if foreign:
            return f"target values or predictions are not classes of the model: {join_some(foreign)}"
        at = classes.index(model.positive)
        return Outcomes(
            encode_classes(truth, classes) == at,
            encode_classes(frame["prediction"], classes) == at,
            None if probabilities is None else probabilities[:, at],
            (classes[1 - at], model.positive),
        )
    union = [*classes, *foreign]
    if len(union) > MAX_CLASSES:
        return f"{len(union):,} classes in the target values and predictions; at most {MAX_CLASSES:,} are measured"
    return Outcomes(
        encode_classes(truth, union), encode_classes(frame["prediction"], union), probabilities, tuple(union)
    )


def _measure_task(
    model: FittedModel, frame: pl.DataFrame, cost_matrix: CostMatrix, units: Units
) -> tuple[MetricsOrReasons, Intervals, PerformanceDetail]:
    """Measure rows that all have a label and a prediction: values, intervals or reasons by metric, and the detail."""
    found = read_outcomes(model, frame)
    if isinstance(found, str):
        return dict.fromkeys(METRICS_BY_TASK[model.task], found), {}, PerformanceDetail()
    if model.task == "regression":
        return measure_regression(found.truth, found.predicted, units)
    names = [label_of(c) for c in found.classes]
    if model.positive is None:
        return measure_multiclass(found.truth, found.predicted, found.probability, names, units)
    return measure_binary(
        found.truth,
        found.predicted,
        found.probability,
        names=(names[0], names[1]),
        cost_matrix=cost_matrix,
        units=units,
    )
