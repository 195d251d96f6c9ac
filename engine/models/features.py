"""Features: which columns a trained model takes, and how their values become numbers.

Encoding is done by polars on the model's own plain description (model.json), not by scikit-learn's encoders: they
look every text up in Python, which costs seconds a million rows, and would have to be persisted as objects.
scikit-learn sees one float64 column a feature: the number itself, or the code of the category; NaN is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.data.families import family
from engine.data.wording import meant
from engine.drift import Role, roles
from engine.errors import DataError, ModelError
from engine.models.classes import canonical, listed
from engine.spec.resources.models import Features

MAX_CATEGORIES = 255


@dataclass(frozen=True, slots=True)
class Feature:
    """A column that a model takes.

    `family` is the family of its type at training. A categorical one has its `categories`, most frequent first; where
    `others` is set, rarer and unseen ones share one more code, otherwise an unseen one counts as missing.
    """

    name: str
    family: str
    role: Literal["numerical", "categorical"]
    categories: tuple[str, ...] = ()
    others: bool = False


def known(names: Sequence[str], columns: Sequence[str], where: str) -> None:
    """Check that the names are columns.

    Raises
    ------
    ModelError
        One is not; says which was probably meant.
    """
    for name in names:
        if name not in columns:
            raise ModelError(f"{where}: there is no column {name!r}{meant(name, list(columns))}")


def select(features: Features, columns: Sequence[str], target: str, *, entity: str | None, where: str) -> list[str]:
    """Return the columns that the spec makes features; the target never is one, the entity only where included."""
    known([*(features.include or []), *features.exclude], columns, f"{where}: features")
    chosen = features.include or [c for c in columns if c != entity]
    left = [c for c in chosen if c != target and c not in features.exclude]
    if not left:
        raise ModelError(f"{where}: no column is left to be a feature")
    return left


def describe(
    frame: pl.DataFrame,
    chosen: Sequence[str],
    declared: Mapping[str, str],
    *,
    included: bool,
    max_categories: int = MAX_CATEGORIES,
    where: str,
) -> tuple[list[Feature], dict[str, str]]:
    """Decide the role of each chosen column from its declared role, type and training rows.

    Parameters
    ----------
    frame
        The training rows.
    declared
        Roles of the dataset's contract, by column.
    included
        The user named these columns: what cannot be a feature is then an error, not left out.

    Returns
    -------
    features, left_out
        The features in the order of `chosen`, and why each other column is none.
    """
    empty = {c: "every value is missing" for c in chosen if _is_missing(frame[c]).all()}
    try:
        taking, unfit = roles(frame.lazy(), declared, only=[c for c in chosen if c not in empty])
    except DataError as error:
        raise ModelError(f"{where}: {error}") from error
    left_out = empty | unfit
    if included and left_out:
        name, reason = next(iter(left_out.items()))
        raise ModelError(f"{where}: column {name!r} cannot be a feature: {reason}")
    if not taking:
        raise ModelError(
            f"{where}: no column is left to be a feature; {listed([f'{c}: {r}' for c, r in left_out.items()])}"
        )
    features = []
    for name, role in taking.items():
        kind = family(frame.schema[name])
        if role is Role.CATEGORICAL and (kind != "boolean" or declared.get(name) == "categorical"):
            features.append(_categorical(frame[name], kind, max_categories))
        else:
            features.append(Feature(name, kind, "numerical"))
    return features, left_out


def _is_missing(column: pl.Series) -> pl.Series:
    return column.is_null() | column.is_nan() if column.dtype.is_float() else column.is_null()


def _categorical(column: pl.Series, kind: str, most: int) -> Feature:
    counts = canonical(column).alias("category").drop_nulls().value_counts()
    ordered = counts.sort("count", "category", descending=[True, False])["category"]
    others = len(ordered) > most
    return Feature(column.name, kind, "categorical", tuple(ordered.head(most - others)), others)


def encode(frame: pl.DataFrame, features: Sequence[Feature], where: str) -> npt.NDArray[np.float64]:
    """Return the rows as numbers.

    Returns
    -------
    array, shape (rows, features)
        Missing values and, for a categorical feature without others, unseen categories are NaN. Durations are seconds.

    Raises
    ------
    ModelError
        A column is missing, or not of the family that it was at training.
    """
    known([f.name for f in features], frame.columns, where)
    encoded = np.empty((frame.height, len(features)), order="F")
    for i, feature in enumerate(features):
        encoded[:, i] = _encoded(feature, frame[feature.name], where).to_numpy()
    return encoded


_AS_NUMBERS = {"integer": "number", "boolean": "number"}


def _encoded(feature: Feature, column: pl.Series, where: str) -> pl.Series:
    kind = family(column.dtype)
    if kind == "null":
        column, kind = column.cast(pl.String if feature.family == "text" else pl.Float64), feature.family
    if _AS_NUMBERS.get(kind, kind) != _AS_NUMBERS.get(feature.family, feature.family):
        raise ModelError(
            f"{where}: column {feature.name!r} is {kind}, but was {feature.family} when the model was trained"
        )
    if feature.role == "categorical":
        texts = canonical(column)
        code = texts.cast(pl.Enum(feature.categories), strict=False).to_physical().cast(pl.Float64)
        if feature.others:
            code = code.fill_null(len(feature.categories)).set(texts.is_null(), None)
        return code.fill_null(float("nan"))
    if isinstance(column.dtype, pl.Duration):
        column = column.dt.total_microseconds() / 1e6
    return column.cast(pl.Float64).fill_null(float("nan"))
