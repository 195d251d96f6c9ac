"""Performance of a model on the rows that have a label.

All metrics of a task are computed from one confusion matrix and one sort of the probabilities. scikit-learn's functions
would validate and sort a million rows again for each metric, and importing them takes longer than the computation; the
tests compare with them. A metric that is not defined has a reason, never NaN and never a conventional 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.errors import ModelError
from engine.formatting.lists import join_some
from engine.models.classes import MAX_CLASSES, distinct_classes, encode_classes, label_of
from engine.models.classification import Intervals, MetricsOrReasons, measure_binary, measure_multiclass
from engine.models.fitted_model import FittedModel
from engine.models.intervals import Units
from engine.models.regression import measure_regression
from engine.spec.metric_catalogue import METRICS_BY_TASK
from engine.spec.resources.models import CostMatrix

NO_LABELS = "no labels"


@dataclass(frozen=True, slots=True)
class Performance:
    """Performance of a model on one batch.

    `metrics` holds every metric of the task; where a value is None, `reasons` has the reason. `intervals` holds the low
    and high ends of their confidence intervals; where a value has none, `interval_reasons` says why. `rows` counts the
    rows with both a label and a prediction. `labelled_share` is the share of all rows that have a label; None for zero
    rows. `unlabelled` tells that no row has a label. `detail` is JSON-ready: confusion matrix and curves, or the plots
    of a regression.
    """

    metrics: Mapping[str, float | None]
    reasons: Mapping[str, str]
    rows: int
    labelled_share: float | None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    interval_reasons: Mapping[str, str] = field(default_factory=dict)
    unlabelled: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def measure_performance(
    model: FittedModel,
    scored: pl.DataFrame,
    cost_matrix: CostMatrix | None = None,
    *,
    entity: str | None = None,
    confidence: float = 0.95,
) -> Performance:
    """Measure a model on scored rows.

    Parameters
    ----------
    scored
        The scores, with the target column. Where that column is absent or empty, there are no labels.
    cost_matrix
        The gain of a data row for each combination of true and predicted class, used by the metric `cost_matrix_gain`;
        None for the default gains.
    entity
        The column that says which rows belong together: intervals then treat entities, not rows, as independent.
    confidence
        The confidence level of the intervals.

    Raises
    ------
    ModelError
        The labels do not suit the task, for example text for a regression.
    """
    labelled = _has_value(scored, model.target)
    share = float(labelled.mean()) if labelled.size else None
    used = labelled & _has_value(scored, "prediction")
    rows = int(used.sum())
    if not rows:
        reason = "no row has a target value and a prediction"
        if not labelled.any():
            absent = model.target not in scored.columns
            reason = f"{'there is no' if absent else 'no row has a value in the'} target column {model.target!r}"
        nothing = dict.fromkeys(METRICS_BY_TASK[model.task])
        return Performance(nothing, dict.fromkeys(nothing, reason), 0, share, unlabelled=not labelled.any())
    missed = int(labelled.sum()) - rows
    notes = (f"{missed:,} rows with a target value have no prediction and are not measured",) if missed else ()
    frame = scored if rows == scored.height else scored.filter(pl.Series(used))
    units = Units(rows, confidence, _number_entities(frame, entity))
    found, bounds, detail = _measure_task(model, frame, cost_matrix or CostMatrix(), units)
    metrics = {name: value if isinstance(value := found[name], float) else None for name in METRICS_BY_TASK[model.task]}
    reasons = {name: value for name in metrics if isinstance(value := found[name], str)}
    without = {name: bound for name, bound in bounds.items() if isinstance(bound, str)}
    intervals = {name: bound for name, bound in bounds.items() if not isinstance(bound, str)}
    return Performance(metrics, reasons, rows, share, intervals, without, detail=detail, notes=notes)


def _number_entities(frame: pl.DataFrame, entity: str | None) -> npt.NDArray[np.int64] | None:
    """Return the number of each row's entity, from 0 in the order of rows; None where every row is its own entity.

    A row without an entity is one of its own, as in the split of held-out rows.
    """
    if entity is None or entity not in frame.columns:
        return None
    numbered = frame.select(pl.col(entity).alias("entity")).with_row_index("row")
    first = pl.when(pl.col("entity").is_null()).then("row").otherwise(pl.col("row").min().over("entity"))
    first_rows = numbered.select(first.cast(pl.Int64).alias("first"))["first"].to_numpy()
    is_first = first_rows == np.arange(len(first_rows))
    return None if is_first.all() else np.cumsum(is_first)[first_rows] - 1


def _has_value(frame: pl.DataFrame, column: str) -> npt.NDArray[np.bool_]:
    """Tell for each row whether the column has a value, neither null nor NaN; False without such a column."""
    if column not in frame.columns:
        return np.zeros(frame.height, dtype=bool)
    values = frame[column]
    present = values.is_not_null()
    return (present & values.is_not_nan().fill_null(value=False) if values.dtype.is_float() else present).to_numpy()


def _measure_task(
    model: FittedModel, frame: pl.DataFrame, cost_matrix: CostMatrix, units: Units
) -> tuple[MetricsOrReasons, Intervals, dict[str, Any]]:
    """Measure rows that all have a label and a prediction: values, intervals or reasons by metric, and the detail."""
    truth = frame[model.target]
    if model.task == "regression":
        if not (truth.dtype.is_numeric() or truth.dtype == pl.Boolean):
            raise ModelError(
                f'model {model.name}: the target "{model.target}" holds {truth.dtype}, but the task is regression'
            )
        predicted = frame["prediction"].cast(pl.Float64).to_numpy()
        return measure_regression(truth.cast(pl.Float64).to_numpy(), predicted, units)
    classes = list(model.classes)
    texts = {label_of(c) for c in classes}
    # Classes among labels or predictions that the model does not know. A binary task cannot measure them; with more
    # classes they follow the known ones in the confusion matrix.
    foreign = [
        c for c in (*distinct_classes(truth), *distinct_classes(frame["prediction"])) if label_of(c) not in texts
    ]
    foreign = list({label_of(c): c for c in foreign}.values())
    columns = [f"probability_{i}" for i in range(len(classes))]
    probabilities = frame.select(columns).to_numpy() if set(columns) <= set(frame.columns) and classes else None
    if model.positive is not None:
        if foreign:
            reason = f"target values or predictions are not classes of the model: {join_some(foreign)}"
            return dict.fromkeys(METRICS_BY_TASK[model.task], reason), {}, {}
        at = classes.index(model.positive)
        return measure_binary(
            encode_classes(truth, classes) == at,
            encode_classes(frame["prediction"], classes) == at,
            None if probabilities is None else probabilities[:, at],
            names=(label_of(classes[1 - at]), label_of(model.positive)),
            cost_matrix=cost_matrix,
            units=units,
        )
    union = [*classes, *foreign]
    if len(union) > MAX_CLASSES:
        reason = f"{len(union):,} classes in the target values and predictions; at most {MAX_CLASSES:,} are measured"
        return dict.fromkeys(METRICS_BY_TASK[model.task], reason), {}, {}
    return measure_multiclass(
        encode_classes(truth, union),
        encode_classes(frame["prediction"], union),
        probabilities,
        [label_of(c) for c in union],
        units,
    )
