"""Features: the columns that a trained model uses, and how their values are encoded as numbers.

Values are encoded with polars, according to the description of the features that is saved in model.json. scikit-learn's
encoders are not used: they look up every text in Python, which costs seconds per million rows, and would have to be
saved as objects. scikit-learn gets one float64 column per feature: the number itself, or the code of the category; NaN
is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.data.column_types import column_type
from engine.drift import Role, roles
from engine.errors import DataError, ModelError
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_some
from engine.models.classes import class_labels
from engine.spec.resources.models import Features

MAX_CATEGORIES = 255


@dataclass(frozen=True, slots=True)
class Feature:
    """A column that a model takes as input.

    `family` is its column type at training. A categorical feature has `categories`, most frequent first; the position
    of a category is its code. With `others`, all rarer and unseen categories share one more code; without it, an unseen
    category counts as missing.
    """

    name: str
    family: str
    role: Literal["numerical", "categorical"]
    categories: tuple[str, ...] = ()
    others: bool = False


def require_columns(names: Sequence[str], columns: Sequence[str], where: str, named_by: str = "") -> None:
    """Check that every name is a column; `named_by` is the key of the spec that names them.

    Raises
    ------
    ModelError
        A name is not a column; the message suggests the likely one.
    """
    for name in names:
        if name not in columns:
            names_it = f", which the model names under {named_by}" if named_by else ""
            raise ModelError(f"{where}: there is no column {name!r}{names_it}{suggest_name(name, list(columns))}")


def select_features(
    features: Features, columns: Sequence[str], target: str, *, entity: str | None, where: str
) -> list[str]:
    """Return the columns that the spec selects as features, in order.

    The target is never a feature; the entity is one only if the spec includes it by name.

    Raises
    ------
    ModelError
        The spec names a column that does not exist, or no column is left.
    """
    require_columns(features.include or [], columns, where, "features: include")
    require_columns(features.exclude, columns, where, "features: exclude")
    chosen = features.include or [c for c in columns if c != entity]
    selected = [c for c in chosen if c != target and c not in features.exclude]
    if not selected:
        raise ModelError(f"{where}: no column is left to be a feature")
    return selected


def describe_features(
    frame: pl.DataFrame,
    chosen: Sequence[str],
    declared: Mapping[str, str],
    *,
    included: bool,
    max_categories: int,
    where: str,
) -> tuple[list[Feature], dict[str, str]]:
    """Describe each chosen column as a numerical or categorical feature, by its declared role, type and rows.

    Parameters
    ----------
    frame
        The training rows.
    declared
        Roles declared in the dataset's contract, by column.
    included
        Whether the spec names the columns. A column that cannot be a feature is then an error; otherwise it is left
        out.
    max_categories
        The largest number of codes of a categorical feature; see `Feature`.

    Returns
    -------
    features, left_out
        The features, and for each other column the reason.

    Raises
    ------
    ModelError
        A named column cannot be a feature, or no column can.
    """
    empty = {c: "every value is missing" for c in chosen if _is_missing(frame[c]).all()}
    try:
        found_roles, unfit = roles(frame.lazy(), declared, only=[c for c in chosen if c not in empty])
    except DataError as error:
        raise ModelError(f"{where}: {error}") from error
    left_out = empty | unfit
    if included and left_out:
        name, reason = next(iter(left_out.items()))
        raise ModelError(f"{where}: column {name!r} cannot be a feature: {reason}")
    if not found_roles:
        raise ModelError(
            f"{where}: no column is left to be a feature; {join_some([f'{c}: {r}' for c, r in left_out.items()])}"
        )
    features = []
    for name, role in found_roles.items():
        kind = column_type(frame.schema[name])
        # For drift a boolean is categorical; as a feature it is the number 0 or 1, unless it is declared categorical.
        if role is Role.CATEGORICAL and (kind != "boolean" or declared.get(name) == "categorical"):
            features.append(_build_categorical_feature(frame[name], kind, max_categories))
        else:
            features.append(Feature(name, kind, "numerical"))
    return features, left_out


def _is_missing(column: pl.Series) -> pl.Series:
    return column.is_null() | column.is_nan() if column.dtype.is_float() else column.is_null()


def _build_categorical_feature(column: pl.Series, kind: str, most: int) -> Feature:
    """Return a categorical feature with at most `most` codes; categories with equal counts are ordered by text."""
    counts = class_labels(column).alias("category").drop_nulls().value_counts()
    ordered = counts.sort("count", "category", descending=[True, False])["category"]
    others = len(ordered) > most  # the last code then stands for all remaining categories
    return Feature(column.name, kind, "categorical", tuple(ordered.head(most - others)), others)


def encode_frame(frame: pl.DataFrame, features: Sequence[Feature], where: str) -> npt.NDArray[np.float64]:
    """Encode the rows of a frame as numbers.

    Returns
    -------
    array, shape (rows, features)
        Missing values are NaN, and so are unseen categories of a feature without `others`. Durations are in seconds.

    Raises
    ------
    ModelError
        A column is missing, or has another type than at training.
    """
    require_columns([f.name for f in features], frame.columns, where)
    encoded = np.empty((frame.height, len(features)), order="F")
    for i, feature in enumerate(features):
        encoded[:, i] = _encode_column(feature, frame[feature.name], where).to_numpy()
    return encoded


_NUMERICAL_TYPES = {"integer": "number", "boolean": "number"}


def _encode_column(feature: Feature, column: pl.Series, where: str) -> pl.Series:
    """Return one column as floats: numbers, or codes of categories."""
    kind = column_type(column.dtype)
    if kind == "null":  # a column without any value fits every type
        column, kind = column.cast(pl.String if feature.family == "text" else pl.Float64), feature.family
    if _NUMERICAL_TYPES.get(kind, kind) != _NUMERICAL_TYPES.get(feature.family, feature.family):
        raise ModelError(
            f"{where}: column {feature.name!r} is {kind}, but was {feature.family} when the model was trained"
        )
    if feature.role == "categorical":
        # An Enum of the categories maps text to code in one vectorised step; an unseen text becomes null …
        texts = class_labels(column)
        code = texts.cast(pl.Enum(feature.categories), strict=False).to_physical().cast(pl.Float64)
        if feature.others:
            # … and with `others` gets the code after the last, while a missing value stays missing.
            code = code.fill_null(len(feature.categories)).set(texts.is_null(), None)
        return code.fill_null(float("nan"))
    if isinstance(column.dtype, pl.Duration):
        column = column.dt.total_microseconds() / 1e6
    return column.cast(pl.Float64).fill_null(float("nan"))
