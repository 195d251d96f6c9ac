"""Loading of declared models: each of the four kinds becomes a `FittedModel`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from engine.data.table import Table, explain_read_errors
from engine.data.user_code.functions import load_function
from engine.errors import DataError, ModelError
from engine.formatting.lists import join_some
from engine.models.classes import (
    MAX_CLASSES,
    ClassValue,
    SettledClasses,
    distinct_classes,
    find_positive_class,
    settle_classes,
    sort_classes,
    unite_classes,
)
from engine.models.features import select_features
from engine.models.fingerprints import find_skops_file
from engine.models.fitted_model import FittedModel, Predictions, Predictor
from engine.models.predictions import PredictionParser
from engine.models.versions.persistence import load_trained
from engine.models.versions.skops_files import MAX_MODEL_BYTES, load_estimator
from engine.spec import ProjectSpec
from engine.spec.code_folder import CodeFolder
from engine.spec.resources.models import Model, PythonModel, ScoredModel, SkopsModel, TrainModel


def load_model(
    project: ProjectSpec,
    name: str,
    table: Table,
    version: Path | None = None,
    digests: Mapping[str, str] | None = None,
    *,
    reference_classes: Sequence[ClassValue] = (),
) -> FittedModel:
    """Load a declared model.

    Parameters
    ----------
    table
        The table to score. It provides the features if the spec names none and, for the kinds scored and python, the
        classes if the reference does not.
    version, digests
        The folder of the trained version, for kind train, and the digests of its files.
    reference_classes
        The classes found in the reference, for the kinds scored and python: the table may have no labels yet.

    Raises
    ------
    ModelError
        The model cannot be loaded or does not fit the table; the message suggests what to change.
    """
    spec = project.models[name]
    where = f"model {name}"
    match spec:
        case TrainModel():
            if version is None:
                raise ModelError(f"{where} is not trained yet: train it with `engine run`")
            return load_trained(name, spec, version, digests or {})
        case SkopsModel():
            if spec.allow and (refusal := project.find_code_refusal("models", name)):
                raise ModelError(f"{where}: the types of allow: are not loaded here, as they run code: {refusal}")
            return _load_skops(name, spec, find_skops_file(project, name, spec), where)
        case ScoredModel():
            return _load_scored(name, spec, table, reference_classes, where)
        case PythonModel():
            return _load_python(name, spec, project.code_of("models", name), table, reference_classes, where)
    raise TypeError(f"no loader for {type(spec).__name__}")


@dataclass(frozen=True, slots=True)
class EstimatorPredictor:
    """Predicts with a user's scikit-learn estimator.

    The estimator gets a polars frame if it was fitted with column names, otherwise an array.
    """

    columns: Sequence[str]
    estimator: Any
    classifies: bool
    where: str

    def predict(self, frame: pl.DataFrame) -> Predictions:
        rows: Any = frame.select(self.columns)
        if not hasattr(self.estimator, "feature_names_in_"):
            rows = rows.to_numpy()
        try:
            with threadpool_limits(limits=1):
                values = np.asarray(self.estimator.predict(rows))
                if not self.classifies:
                    return Predictions(values=pl.Series(values.astype(np.float64).ravel()))
                # Both are called: an estimator may predict another class than the most probable one.
                has_probabilities = hasattr(self.estimator, "predict_proba")
                return Predictions(
                    values=pl.Series(values.tolist()),
                    probabilities=np.asarray(self.estimator.predict_proba(rows), dtype=np.float64)
                    if has_probabilities
                    else None,
                )
        except (ValueError, TypeError) as error:
            raise ModelError(f"{self.where}: the estimator cannot score these rows: {error}") from error


def _load_skops(name: str, spec: SkopsModel, path: Path, where: str) -> FittedModel:
    """Load a user's estimator and check that its columns, task and classes match the spec."""
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ModelError(
                f"{where}: {path} has more than {MAX_MODEL_BYTES:,} bytes, which are the most that are read"
            )
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{where}: {path} cannot be read: {error.strerror}") from error
    estimator, notes = load_estimator(content, spec.allow, where, str(path), "save the estimator with skops.io.dump")
    names = spec.features.include or getattr(estimator, "feature_names_in_", None)
    if names is None:
        raise ModelError(f"{where}: the estimator has no names of its columns; list them under features: include")
    columns = [str(c) for c in names if c not in spec.features.exclude]
    if spec.target in columns:
        raise ModelError(
            f"{where}: the estimator was fitted with {spec.target!r} as a feature, but that is the target: it would "
            "see the true value; fit it without this column, or correct target:"
        )
    expected = getattr(estimator, "n_features_in_", len(columns))
    if expected != len(columns):
        raise ModelError(f"{where}: the estimator takes {expected} columns, but features names {len(columns)}")
    classifies = spec.task != "regression"
    if classifies != hasattr(estimator, "classes_"):
        raise ModelError(f"{where}: the task is {spec.task}, but {path} holds a {type(estimator).__name__}")
    if classifies and not isinstance(estimator.classes_, np.ndarray):
        raise ModelError(f"{where}: the estimator predicts {len(estimator.classes_)} targets at once; one is needed")
    classes = tuple(estimator.classes_.tolist()) if classifies else ()
    if spec.task == "binary_classification" and len(classes) != 2:
        raise ModelError(
            f"{where}: the task is binary_classification, but the estimator has {len(classes)} classes: "
            f"{join_some(classes)}"
        )
    predictor = EstimatorPredictor(columns, estimator, classifies, where)
    fitted = _build_fitted_model(name, spec, tuple(columns), predictor, SettledClasses(classes, classes), where)
    return replace(fitted, notes=tuple(notes), own_threshold=_describe_threshold(estimator))


def _describe_threshold(estimator: Any) -> str | None:
    """Return the decision threshold inside an estimator, or inside the last step of a pipeline or search."""
    for _ in range(10):
        kind = type(estimator).__name__
        if kind in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
            value = estimator.best_threshold_ if hasattr(estimator, "best_threshold_") else estimator.threshold
            return f"{kind} with the threshold {value if isinstance(value, str) else f'{value:g}'}"
        steps = getattr(estimator, "steps", None)
        estimator = steps[-1][1] if steps else getattr(estimator, "best_estimator_", None)
    return None


@dataclass(frozen=True, slots=True)
class ScoredPredictor:
    """Takes predictions from columns of the dataset."""

    parser: PredictionParser
    prediction: str | None
    probability: str | Mapping[str, str] | None

    @property
    def columns(self) -> Sequence[str]:
        probability = self.probability
        return [
            *([self.prediction] if self.prediction else []),
            *([probability] if isinstance(probability, str) else (probability or {}).values()),
        ]

    def predict(self, frame: pl.DataFrame) -> Predictions:
        scores: dict[str, pl.Series] = {"prediction": frame[self.prediction]} if self.prediction else {}
        if isinstance(self.probability, str):
            scores["probability"] = frame[self.probability]
        else:
            scores |= {label: frame[column] for label, column in (self.probability or {}).items()}
        return self.parser.parse(scores, frame.height)


def _load_scored(
    name: str, spec: ScoredModel, table: Table, reference: Sequence[ClassValue], where: str
) -> FittedModel:
    """Return a model whose predictions are columns of the table; these columns are not features."""
    if spec.prediction is None and spec.probability is None:
        raise ModelError(f"{where}: declare prediction or probability: the column that holds it")
    if spec.task == "regression" and spec.prediction is None:
        raise ModelError(f"{where}: a regression needs prediction: the column that holds it")
    classes = _settle_classes_of(spec, table, reference, where)
    parser = PredictionParser(classes.values, _positive_class(spec, classes.values, where), where)
    predictor = ScoredPredictor(parser, spec.prediction, spec.probability)
    columns = table.frame.collect_schema().names()
    source = f"{where}: dataset {table.name!r}"
    features = select_features(spec.features, columns, spec.target, entity=table.entity, where=source)
    return _build_fitted_model(
        name, spec, tuple(c for c in features if c not in predictor.columns), predictor, classes, where
    )


@dataclass(frozen=True, slots=True)
class FunctionPredictor:
    """Predicts with a user's function and checks its result."""

    columns: Sequence[str]
    parser: PredictionParser
    function: Any
    arguments: Mapping[str, Any]

    def predict(self, frame: pl.DataFrame) -> Predictions:
        try:
            answer = self.function(frame.select(self.columns), **self.arguments)
        except DataError as error:
            raise ModelError(f"{self.parser.where}: {error}") from error
        return self.parser.parse(answer, frame.height)


def _load_python(
    name: str, spec: PythonModel, code: CodeFolder, table: Table, reference: Sequence[ClassValue], where: str
) -> FittedModel:
    """Return a model that calls a user's function."""
    try:
        function = load_function(code, spec.function)
    except DataError as error:
        raise ModelError(f"{where}: {error}") from error
    columns = table.frame.collect_schema().names()
    source = f"{where}: dataset {table.name!r}"
    features = select_features(spec.features, columns, spec.target, entity=table.entity, where=source)
    classes = _settle_classes_of(spec, table, reference, where)
    if not classes.values and spec.task != "regression":
        raise ModelError(
            f"{where}: no class is known, because neither the reference nor dataset {table.name!r} has a value of "
            f"{spec.target!r}: what {spec.function} returns has no names; use a reference with labels"
        )
    parser = PredictionParser(classes.values, _positive_class(spec, classes.values, where), f"{where}: {spec.function}")
    return _build_fitted_model(
        name, spec, tuple(features), FunctionPredictor(features, parser, function, spec.arguments), classes, where
    )


def _build_fitted_model(
    name: str, spec: Model, features: tuple[str, ...], predictor: Predictor, classes: SettledClasses, where: str
) -> FittedModel:
    return FittedModel(
        name=name,
        task=spec.task,
        target=spec.target,
        features=features,
        predictor=predictor,
        classes=classes.values,
        known_classes=classes.known,
        undecided=classes.undecided,
        positive=_positive_class(spec, classes.values, where),
        threshold=spec.threshold,
    )


def _positive_class(spec: Model, classes: Sequence[ClassValue], where: str) -> ClassValue | None:
    return find_positive_class(classes, spec.positive, where) if spec.task == "binary_classification" else None


def observe_classes(spec: Model, table: Table, where: str) -> tuple[ClassValue, ...]:
    """Return the sorted classes found in a table, in the target and in the predictions of a scored model.

    Empty for a regression, for a model that declares its classes itself, and if the table has no such value.

    Raises
    ------
    ModelError
        There are more than `MAX_CLASSES`.
    DataError
        The table cannot be read.
    """
    if spec.task == "regression" or not isinstance(spec, ScoredModel | PythonModel):
        return ()
    available = table.frame.collect_schema().names()
    predicted = [spec.prediction] if isinstance(spec, ScoredModel) and spec.prediction else []
    sources = [column for column in (spec.target, *predicted) if column in available]
    found: list[ClassValue] = []
    with explain_read_errors(table):
        for column in sources:
            values = table.frame.select(column).unique().collect(engine="streaming")[column]
            # 1 in the labels and "1" in the predictions have the same label, so they are one class.
            found = unite_classes(found, distinct_classes(values))
    if len(found) > MAX_CLASSES:
        raise ModelError(
            f"{where}: {len(found):,} classes in {join_some(sources)} of dataset {table.name!r}, more than "
            f"{MAX_CLASSES:,}; is the task regression?"
        )
    return sort_classes(found)


def _settle_classes_of(
    spec: ScoredModel | PythonModel, table: Table, reference: Sequence[ClassValue], where: str
) -> SettledClasses:
    """Determine the classes of a model that does not declare them; reads the table only if the reference lacks some."""
    if spec.task == "regression":
        return SettledClasses((), ())
    named = tuple(spec.probability) if isinstance(spec, ScoredModel) and isinstance(spec.probability, dict) else ()
    return settle_classes(
        spec, named, reference, () if len(reference) > 1 else observe_classes(spec, table, where), where
    )
