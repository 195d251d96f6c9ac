"""Train a model of a declared algorithm on a dataset, and hold out the rows that serve as its reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from engine.data.column_types import column_type
from engine.data.table import Table, explain_read_errors
from engine.errors import ModelError
from engine.formatting.lists import join_some
from engine.models.classes import MAX_CLASSES, ClassValue, distinct_classes, encode_classes, find_positive_class
from engine.models.estimators import build_estimator, fit_estimator, replace_infinities
from engine.models.features import (
    MAX_CATEGORIES,
    Feature,
    describe_features,
    encode_frame,
    require_columns,
    select_features,
)
from engine.models.fitted_model import FittedModel, Predictions
from engine.models.importance import compute_importance
from engine.models.installed_versions import library_versions
from engine.models.split import split_held_out, split_off_rows
from engine.spec.resources.models import TrainModel


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A new model, its held-out rows, and notes for the user.

    The held-out rows have the columns of features, target and entity, and include rows without a label. `same_rows` is
    True if they are those of the earlier version.
    """

    model: FittedModel
    held_out: pl.DataFrame
    notes: tuple[str, ...]
    same_rows: bool = False


@dataclass(frozen=True, slots=True)
class TrainedPredictor:
    """Predicts with an estimator trained by the engine, on features that it encodes."""

    algorithm: str
    features: Sequence[Feature]
    classes: Sequence[ClassValue]
    estimator: Any
    where: str

    @property
    def columns(self) -> Sequence[str]:
        return [f.name for f in self.features]

    def predict(self, frame: pl.DataFrame) -> Predictions:
        rows = replace_infinities(self.algorithm, encode_frame(frame, self.features, self.where))
        with threadpool_limits(limits=1):
            if self.classes:
                return Predictions(probabilities=np.asarray(self.estimator.predict_proba(rows), dtype=np.float64))
            return Predictions(values=pl.Series(np.asarray(self.estimator.predict(rows), dtype=np.float64)))


def train_model(name: str, spec: TrainModel, table: Table, kept: pl.DataFrame | None = None) -> TrainingResult:
    """Train a model on the rows of a table that have a label and are not held out.

    The same rows give the same model in any order.

    Parameters
    ----------
    kept
        The held-out rows of an earlier version with the same data and settings. They are held out again, because the
        hash by which rows are drawn may have changed since. If some are not found, new rows are drawn.

    Raises
    ------
    ModelError
        Columns, target, classes, algorithm or parameters do not fit together; the message suggests what to change.
    """
    where = f"model {name}"
    schema = table.frame.collect_schema()
    source = f"{where}: dataset {table.name!r}"
    require_columns([spec.target], schema.names(), source, "target")
    chosen = select_features(spec.features, schema.names(), spec.target, entity=table.entity, where=source)
    entity = [table.entity] if table.entity else []
    frame = _read_columns(table, list(dict.fromkeys([*chosen, *entity, spec.target])))
    parts = split_off_rows(frame, kept, target=spec.target) if kept is not None else None
    training, test = parts or split_held_out(
        frame, target=spec.target, entity=table.entity, share=spec.test.share, seed=spec.test.seed, where=source
    )
    labelled = training.filter(_has_label(spec.target, training))
    if not labelled.height:
        raise ModelError(f'{where}: no training row has a value of the target "{spec.target}"')
    classes = _training_classes(spec, labelled, where)
    positive = find_positive_class(classes, spec.positive, where) if spec.task == "binary_classification" else None
    # Boosting accepts at most max_bins categories per feature.
    most = spec.parameters.get("max_bins", MAX_CATEGORIES)
    features, left_out = describe_features(
        labelled,
        chosen,
        table.roles,
        included=spec.features.include is not None,
        max_categories=most if isinstance(most, int) and 1 < most < MAX_CATEGORIES else MAX_CATEGORIES,
        where=where,
    )
    unfitted = build_estimator(spec.algorithm, spec.task, spec.parameters, features, spec.seed, where)
    rows = replace_infinities(spec.algorithm, encode_frame(labelled, features, where))
    fitted, notes = fit_estimator(unfitted, rows, _encode_target(labelled[spec.target], classes, where), where)
    predictor = TrainedPredictor(spec.algorithm, features, classes, fitted, where)
    unlabelled = training.height - labelled.height
    notes = [
        *(f'"{column}" is not a feature: {reason}' for column, reason in left_out.items()),
        *([f"{unlabelled:,} rows without a target value were not used for training"] if unlabelled else []),
        *notes,
    ]
    model = FittedModel(
        name=name,
        task=spec.task,
        target=spec.target,
        features=tuple(f.name for f in features),
        predictor=predictor,
        classes=classes,
        known_classes=classes,
        positive=positive,
        threshold=spec.threshold,
        importance=_measure_importance(predictor, test.filter(_has_label(spec.target, test)), spec),
        left_out=left_out,
        notes=tuple(notes),
        details={
            "rows_trained": labelled.height,
            "rows_unlabelled": unlabelled,
            "rows_held_out": test.height,
            "versions": library_versions(),
        },
    )
    held_out = test.select(*dict.fromkeys([*model.features, *entity, spec.target]))
    return TrainingResult(model, held_out, model.notes, same_rows=kept is not None and kept.equals(held_out))


def _read_columns(table: Table, names: Sequence[str]) -> pl.DataFrame:
    """Read columns of a table."""
    schema = table.frame.collect_schema()
    # Categories become text: their physical codes, and so their hashes, depend on the order of rows.
    texts = [name for name in names if isinstance(schema[name], pl.Categorical | pl.Enum)]
    with explain_read_errors(table):
        return table.frame.select(names).with_columns(pl.col(texts).cast(pl.String)).collect(engine="streaming")


def _measure_importance(
    predictor: TrainedPredictor, labelled: pl.DataFrame, spec: TrainModel
) -> dict[str, float] | None:
    """Return the importance of the features on labelled held-out rows; rows of unseen classes are left out."""
    truth = _encode_target(labelled[spec.target], predictor.classes, predictor.where)
    rows = replace_infinities(predictor.algorithm, encode_frame(labelled, predictor.features, predictor.where))
    if predictor.classes:
        rows, truth = rows[truth >= 0], truth[truth >= 0]
    return compute_importance(predictor.algorithm, predictor.estimator, predictor.features, rows, truth, spec.seed)


def _has_label(target: str, frame: pl.DataFrame) -> pl.Expr:
    """Return the condition that a row has a label: the target is neither null nor NaN."""
    label = pl.col(target)
    return label.is_not_null() & label.is_not_nan() if frame.schema[target].is_float() else label.is_not_null()


def _training_classes(spec: TrainModel, labelled: pl.DataFrame, where: str) -> tuple[ClassValue, ...]:
    """Return the classes of the training rows, sorted; empty for a regression.

    Raises
    ------
    ModelError
        The target's type or number of classes does not suit the task.
    """
    kind = column_type(labelled.schema[spec.target])
    if spec.task == "regression":
        if kind not in ("integer", "number", "boolean"):
            raise ModelError(f'{where}: regression needs a number as target, but "{spec.target}" is {kind}')
        return ()
    if kind not in ("integer", "number", "boolean", "text"):
        raise ModelError(f'{where}: the target "{spec.target}" is {kind}; classes are text, numbers or booleans')
    classes = distinct_classes(labelled[spec.target])
    found = f"the training rows hold {len(classes):,}: {join_some(classes)}"
    if len(classes) < 2:
        raise ModelError(f'{where}: "{spec.target}" needs at least 2 classes to learn from; {found}')
    if spec.task == "binary_classification" and len(classes) > 2:
        raise ModelError(
            f'{where}: binary_classification needs 2 classes in "{spec.target}"; {found}; '
            "is the task multiclass_classification?"
        )
    if len(classes) > MAX_CLASSES:
        raise ModelError(
            f'{where}: "{spec.target}" has {len(classes):,} different values, more than {MAX_CLASSES:,}; '
            "is the task regression?"
        )
    return classes


def _encode_target(values: pl.Series, classes: Sequence[ClassValue], where: str) -> npt.NDArray[Any]:
    """Return the target in the form that scikit-learn accepts: codes of classes, or finite numbers."""
    if classes:
        return encode_classes(values, classes)
    numbers = values.cast(pl.Float64).to_numpy()
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        raise ModelError(f'{where}: the target "{values.name}" is infinite in {infinite:,} rows')
    return numbers
