"""Algorithms: the scikit-learn estimator of each, its preprocessing, and the types that may be loaded for it.

Boosting handles categories and missing values itself. Trees take category codes as numbers, and missing values. Linear
models get imputed, scaled numbers and one-hot encoded categories. scikit-learn is imported only when an estimator is
built, since most runs find their model unchanged and do not need it.
"""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from engine.errors import ModelError
from engine.models.features import Feature
from engine.spec.resources.models import ALGORITHMS, Algorithm

FeatureMatrix = npt.NDArray[np.float64]

_ESTIMATOR_CLASSES: Mapping[str, tuple[str, str | None, str | None]] = {
    "hist_gradient_boosting": ("ensemble", "HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
    "random_forest": ("ensemble", "RandomForestClassifier", "RandomForestRegressor"),
    "extra_trees": ("ensemble", "ExtraTreesClassifier", "ExtraTreesRegressor"),
    "decision_tree": ("tree", "DecisionTreeClassifier", "DecisionTreeRegressor"),
    "logistic_regression": ("linear_model", "LogisticRegression", None),
    "linear_regression": ("linear_model", None, "LinearRegression"),
    "ridge": ("linear_model", None, "Ridge"),
}
_DEFAULT_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "hist_gradient_boosting": {"early_stopping": False},  # its validation split would ignore entities
    "logistic_regression": {"max_iter": 1000},
}
_RESERVED_PARAMETERS = {
    "random_state": "use seed: instead",
    "categorical_features": "the roles of the dataset's columns decide this",
    "n_jobs": "training uses all cores, scoring one",
}

_TREE_TYPES = ("sklearn.tree._tree.Tree",)
_ENCODER_TYPES = ("numpy.dtype",)  # an attribute of OneHotEncoder
TRUSTED_TYPES: Mapping[str, Sequence[str]] = {
    "hist_gradient_boosting": (
        "functools.partial",  # wraps check_array, the only function in this list, which checks categories
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
    ),
    "random_forest": _TREE_TYPES,
    "extra_trees": _TREE_TYPES,
    "decision_tree": _TREE_TYPES,
    "logistic_regression": _ENCODER_TYPES,
    "linear_regression": _ENCODER_TYPES,
    "ridge": _ENCODER_TYPES,
}
"""By algorithm, the types in this engine's files that skops does not trust by default; no other type is loaded."""

LINEAR_ALGORITHMS = frozenset({"logistic_regression", "linear_regression", "ridge"})
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def build_estimator(
    algorithm: Algorithm, task: str, parameters: Mapping[str, Any], features: Sequence[Feature], seed: int, where: str
) -> Any:
    """Return the unfitted estimator of an algorithm, with its preprocessing.

    Raises
    ------
    ModelError
        The algorithm cannot learn the task, or the estimator has no such parameter.
    """
    module, *by_task = _ESTIMATOR_CLASSES[algorithm]
    name = by_task[task == "regression"]
    if name is None:
        raise ModelError(f"{where}: {algorithm} cannot learn {task}; it learns {', '.join(ALGORITHMS[algorithm])}")
    plain = getattr(importlib.import_module(f"sklearn.{module}"), name)()
    legal = plain.get_params()
    for parameter in parameters:
        if parameter in _RESERVED_PARAMETERS:
            raise ModelError(f"{where}: parameter {parameter} cannot be set here: {_RESERVED_PARAMETERS[parameter]}")
        if parameter not in legal:
            settable = ", ".join(p for p in sorted(legal) if p not in _RESERVED_PARAMETERS)
            raise ModelError(f'{where}: {algorithm} has no parameter "{parameter}"; it has {settable}')
    plain.set_params(**{**_DEFAULT_PARAMETERS.get(algorithm, {}), **parameters})
    if "random_state" in legal:
        plain.set_params(random_state=seed)
    categorical = [i for i, f in enumerate(features) if f.role == "categorical"]
    if algorithm == "hist_gradient_boosting":
        return plain.set_params(categorical_features=categorical or None)
    return _build_linear_pipeline(plain, categorical, len(features)) if algorithm in LINEAR_ALGORITHMS else plain


def _build_linear_pipeline(plain: Any, categorical: list[int], width: int) -> Any:
    """Return a linear model with median imputation and scaling of numbers, and one-hot encoding of categories.

    Categories with fewer than 10 rows share one column, as do categories absent from training.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numerical = [i for i in range(width) if i not in categorical]
    scaled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10)
    return make_pipeline(
        ColumnTransformer([("numerical", scaled, numerical), ("categorical", one_hot, categorical)]), plain
    )


def replace_infinities(algorithm: str, encoded: FeatureMatrix) -> FeatureMatrix:
    """Return the encoded rows without infinities, which scikit-learn rejects.

    A linear model gets a missing value instead; a tree gets the largest or smallest float32, which keeps the order.
    """
    if algorithm in LINEAR_ALGORITHMS:
        return np.where(np.isinf(encoded), np.nan, encoded)
    return np.clip(encoded, -_FLOAT32_MAX, _FLOAT32_MAX)


def fit_estimator(unfitted: Any, rows: FeatureMatrix, target: npt.NDArray[Any], where: str) -> tuple[Any, list[str]]:
    """Fit an estimator and collect the warnings.

    OpenMP is limited to one thread: on shared cores its threads wait for each other, which costs ten times as much.
    Forests use all cores through joblib.

    Returns
    -------
    estimator, notes
        The fitted estimator, and the warnings of scikit-learn, unchanged.

    Raises
    ------
    ModelError
        scikit-learn refuses a parameter or the data; the message quotes it.
    """
    parallel = hasattr(unfitted, "n_jobs")
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(limits=1):
        warnings.simplefilter("always")
        if parallel:
            unfitted.set_params(n_jobs=-1)
        try:
            fitted = unfitted.fit(rows, target)
        except ValueError as error:
            raise ModelError(f"{where}: scikit-learn cannot fit the model: {error}") from error
    if parallel:
        fitted.set_params(n_jobs=None)  # threads would sum trees in varying order
    return fitted, [f"scikit-learn: {str(w.message).splitlines()[0]}" for w in caught]
