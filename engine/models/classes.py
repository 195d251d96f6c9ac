"""Classes of a target, compared by a canonical text (their label) whatever their type.

The same class is 1 in Parquet, "1" in a CSV column read as text, 1.0 where a null turned integers into floats, and true
where a database has booleans. As values these would be four classes; their labels are equal.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.drift.reading.normalization import normalize_categories
from engine.errors import ModelError
from engine.formatting.lists import join_some
from engine.spec.resources.models import Model

ClassValue = bool | int | float | str

MAX_CLASSES = 1_000


def class_labels(values: pl.Series) -> pl.Series:
    """Return the labels of the values: canonical texts, null where a value is missing."""
    return normalize_categories(values.cast(pl.Int8) if values.dtype == pl.Boolean else values)


def label_of(value: ClassValue) -> str:
    """Return the label of one class: 1, 1.0, True and "1" all give "1"."""
    if isinstance(value, str):
        return value
    return str(int(value)) if math.isfinite(value) and value == int(value) else str(float(value))


def encode_classes(values: pl.Series, classes: Sequence[ClassValue]) -> npt.NDArray[np.int64]:
    """Return the index of each value in `classes`, shape (n,): -1 for a missing value, -2 for an unknown class.

    A text that is not a label but can be read as the number or boolean of one counts as that class: "1.0" and "true" as
    1.
    """
    texts = class_labels(values)
    labels = [label_of(c) for c in classes]
    # An Enum of the labels maps each text to its position in one vectorised step; unknown texts become null.
    places = texts.cast(pl.Enum(labels), strict=False).to_physical().cast(pl.Int64).fill_null(-2)
    if (unknown := (places == -2) & texts.is_not_null()).any():
        by_reading = {_read_label(label): place for place, label in enumerate(labels)}
        others = texts.filter(unknown).unique().to_list()
        readings = {text: by_reading.get(_read_label(text), -2) for text in others}
        reread = texts.replace_strict(readings, default=-2, return_dtype=pl.Int64)
        places = reread.zip_with(unknown, places) if len(by_reading) == len(labels) else places
    return np.where(texts.is_null().to_numpy(), -1, places.to_numpy())


def _read_label(text: str) -> str:
    """Return the label of the number or boolean that a text holds; any other text unchanged."""
    word = text.strip().casefold()
    if word in ("true", "false"):
        return label_of(word == "true")
    try:
        return label_of(float(word))
    except ValueError:
        return text


def find_foreign_classes(values: pl.Series, classes: Sequence[ClassValue]) -> tuple[ClassValue, ...]:
    """Return the distinct values that are not among the classes, sorted."""
    return distinct_classes(values.filter(pl.Series(encode_classes(values, classes) == -2)))


def distinct_classes(values: pl.Series) -> tuple[ClassValue, ...]:
    """Return the distinct values without missing ones, sorted, as Python values.

    Whole floats become integers; categories and enums become text.
    """
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    elif values.dtype.is_float() or values.dtype.is_decimal():
        values = values.cast(pl.Float64).fill_nan(None)
    distinct = values.drop_nulls().unique().sort().to_list()
    return tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in distinct)


def find_positive_class(classes: Sequence[ClassValue], declared: ClassValue | None, where: str) -> ClassValue:
    """Return the positive class of two sorted classes: the declared one, else the larger.

    Raises
    ------
    ModelError
        The declared class is not among them.
    """
    if declared is None:
        return classes[-1]
    for one in classes:
        if label_of(one) == label_of(declared):
            return one
    raise ModelError(
        f"{where}: positive is {declared!r}, but the classes are {join_some(classes)}; set positive to one of these"
    )


def unite_classes(*sides: Iterable[ClassValue]) -> list[ClassValue]:
    """Return the classes of several sides, each label once, in the type of the first side that has it."""
    united: dict[str, ClassValue] = {}
    for side in sides:
        for one in side:
            united.setdefault(label_of(one), one)
    return list(united.values())


def sort_classes(classes: Iterable[ClassValue]) -> tuple[ClassValue, ...]:
    """Return the classes sorted and of one type: as their labels if numbers, texts and booleans are mixed."""
    found = list(classes)
    if len({type(one) for one in found} - {float}) > 1 or {bool, float} <= {type(one) for one in found}:
        found = [label_of(one) for one in found]
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class SettledClasses:
    """The classes of a model that does not declare them itself.

    `values` are sorted; `known` are those that appear in the data or spec. The rest is assumed, so that a model of two
    classes can be used before its labels arrive. `undecided` is empty, or says why the positive class is unknown.
    """

    values: tuple[ClassValue, ...]
    known: tuple[ClassValue, ...]
    undecided: str = ""


def settle_classes(
    spec: Model, named: Sequence[str], reference: Sequence[ClassValue], batch: Sequence[ClassValue], where: str
) -> SettledClasses:
    """Determine the classes of a model from those named by its spec and those found in reference and batch.

    The classes of the reference are used, because a batch may have no label yet, or only one class. The classes of the
    batch are added only if the reference has fewer than two.

    Parameters
    ----------
    named
        Labels for which the spec names a column of probabilities; if there are any, they are all the classes.

    Raises
    ------
    ModelError
        There are more than two classes for a binary task, or more than `MAX_CLASSES`.
    """
    seen = list(reference) if len(reference) > 1 else unite_classes(reference, batch)
    if named:
        by_label = {label_of(one): one for one in unite_classes(seen, batch)}
        seen = [by_label.get(label, label) for label in named]
    if len(seen) > MAX_CLASSES:
        raise ModelError(f"{where}: {len(seen):,} classes, more than {MAX_CLASSES:,}; is the task regression?")
    if spec.task == "binary_classification":
        return _settle_two_classes(spec, seen, where)
    return SettledClasses(sort_classes(seen), sort_classes(seen))


def _settle_two_classes(spec: Model, seen: list[ClassValue], where: str) -> SettledClasses:
    """Complete the classes of a binary task to two.

    The declared positive class completes the other one, and 0 and 1 complete each other. Any other class is completed
    by "not " and its label.
    """
    if spec.positive is not None and len(seen) < 2:
        seen = unite_classes(seen, [spec.positive])
    if len(seen) > 2:
        raise ModelError(
            f"{where}: binary_classification needs 2 classes, but the data hold {len(seen)}: {join_some(seen)}; "
            "is the task multiclass_classification?"
        )
    declare = "declare positive: to measure before labels of both classes arrive"
    if not seen:
        why = f"no class is known: neither reference nor batch has a value of {spec.target!r}; {declare}"
        return SettledClasses((0, 1), (), why)
    known, why = sort_classes(seen), ""
    if len(seen) == 1:
        opposite = _opposite_of_zero_or_one(seen[0])
        if opposite is None and spec.positive is None:
            why = f"the only class of {spec.target!r} so far is {seen[0]!r}; {declare}"
        pair = sort_classes([seen[0], f"not {label_of(seen[0])}" if opposite is None else opposite])
        return SettledClasses(pair, known, why)
    return SettledClasses(known, known)


def _opposite_of_zero_or_one(one: ClassValue) -> ClassValue | None:
    """Return 1 for 0 and 0 for 1, in the same type; None for any other class."""
    if label_of(one) not in ("0", "1"):
        return None
    return ("1" if one == "0" else "0") if isinstance(one, str) else type(one)(not one)
