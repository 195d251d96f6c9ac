"""Proposes the model for a target, and for a prediction if there is one: task, positive class, metric to monitor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from engine.cli.proposal.wishes import Wishes
from engine.cli.proposal.writing import rounded, scalar, text
from engine.data import Table, reading
from engine.data.survey import Column
from engine.errors import UsageError
from engine.models.classes import MAX_CLASSES, Class, codes, observed

FEW_OF_A_CLASS = 10
"""Rows that a class needs in the reference: with fewer, the held-out part could get them all."""
FEW_TO_LEARN_FROM = 50
"""Values that a regression target needs."""
MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are amounts, others are classes."""


@dataclass(frozen=True, slots=True)
class Model:
    """The proposed model and the metric to monitor.

    `floor` is the value of the metric that a constant prediction reaches; the proposed check compares with it.
    """

    task: str
    why: str
    said: str
    positive: str | None
    probability: bool
    metric: str
    floor: float | None
    labelled: float


def proposed_model(before: Table, rows: int, columns: dict[str, Column], wishes: Wishes) -> Model:
    """Propose a model from the rows of the reference.

    Parameters
    ----------
    before
        The reference: the rows before the first batch.
    rows
        How many they are.

    Raises
    ------
    UsageError
        The target cannot be predicted, or the prediction does not fit it.
    """
    target = columns[str(wishes.target)]
    with reading(before):
        named = dict.fromkeys([target.name, *([wishes.prediction] if wishes.prediction else [])])
        frame = before.frame.select(list(named)).collect(engine="streaming")
    values = frame[target.name]
    values = (values.fill_nan(None) if values.dtype.is_float() else values).drop_nulls()
    if target.family not in ("integer", "number", "text", "boolean") or values.dtype == pl.Null:
        raise UsageError(f"the target {target.name!r} has type {target.family}; it must be text, a number or a boolean")
    task, reason = _task(target, values)
    labelled = values.len() / rows
    if task == "regression":
        return _regression(frame, values, wishes, reason, labelled)
    classes = observed(values)
    counts = {label: int((codes(values, classes) == i).sum()) for i, label in enumerate(classes)}
    frequent = [label for label, count in counts.items() if count >= FEW_OF_A_CLASS]
    if wishes.prediction is None and (
        len(frequent) < 2 or (task.startswith("binary") and len(frequent) < len(classes))
    ):
        rows_of_classes = ", ".join(f"{label!r} {count} times" for label, count in list(counts.items())[:10])
        when = " before the time of the first batch" if wishes.time else ""
        raise UsageError(
            f"the target {target.name!r} has too few values to train a model: {rows_of_classes}; "
            f"two classes with at least {FEW_OF_A_CLASS} rows each are needed{when}"
        )
    positive = _positive(classes, counts) if task.startswith("binary") else None
    probability = wishes.prediction is not None and _is_probability(frame[wishes.prediction], classes, task)
    if wishes.prediction and not probability:
        _must_be_classes(frame[wishes.prediction], classes, wishes.prediction)
    # ROC AUC needs probabilities, which a prediction that is a class does not give.
    auc = task.startswith("binary") and (wishes.prediction is None or probability)
    return Model(
        task=task,
        why=reason,
        said=text(wishes.prediction) if wishes.prediction else "",
        positive=None if positive is None else scalar(positive),
        probability=probability,
        metric="roc_auc" if auc else "accuracy",
        floor=0.6 if auc else rounded(max(counts.values()) / values.len()),
        labelled=labelled,
    )


def _regression(frame: pl.DataFrame, values: pl.Series, wishes: Wishes, reason: str, labelled: float) -> Model:
    """Propose a regression; its floor is the mean absolute error of always predicting the median."""
    numbers = values.cast(pl.Float64)
    if wishes.prediction is None and numbers.is_infinite().any():
        raise UsageError(f"the target {values.name!r} has infinite values, so no model can be trained on it")
    if wishes.prediction is None and numbers.len() < FEW_TO_LEARN_FROM:
        raise UsageError(
            f"the target {values.name!r} has {numbers.len()} values, too few to train a model; "
            f"at least {FEW_TO_LEARN_FROM} are needed"
        )
    if wishes.prediction and not frame[wishes.prediction].dtype.is_numeric():
        raise UsageError(f"the prediction {wishes.prediction!r} is not a number, but the target {values.name!r} is")
    error = (numbers - numbers.median()).abs().mean()
    floor = rounded(error) if isinstance(error, float) and math.isfinite(error) and error > 0 else None
    prediction = text(wishes.prediction) if wishes.prediction else ""
    return Model("regression", reason, prediction, None, False, "mae", floor, labelled)


def _task(target: Column, values: pl.Series) -> tuple[str, str]:
    """Return the task that the target's type and number of distinct values suggest, and the reason."""
    distinct = values.n_unique()
    if distinct < 2:
        what = "no value" if distinct == 0 else "only one distinct value"
        raise UsageError(f"the target {target.name!r} has {what}, so there is nothing to predict")
    if distinct == 2:
        return "binary_classification", "it has two distinct values"
    whole = target.family == "integer" or (target.family == "number" and bool((values == values.round()).all()))
    if target.family == "text" or (whole and distinct <= MOST_CLASSES):
        if distinct > MAX_CLASSES:
            raise UsageError(
                f"the target {target.name!r} is text with {distinct:,} distinct values; "
                f"a classification can have at most {MAX_CLASSES:,} classes"
            )
        return "multiclass_classification", f"it has {distinct} distinct values"
    return "regression", "it is a number with many distinct values"


def _positive(classes: Sequence[Class], counts: dict[Class, int]) -> Class:
    """Return the positive class: true, the larger number, or the rarer text."""
    return min(classes, key=lambda label: counts[label]) if isinstance(classes[0], str) else classes[-1]


def _is_probability(prediction: pl.Series, classes: Sequence[Class], task: str) -> bool:
    """Return whether a prediction is a probability: floats from 0 to 1 that are not just the classes."""
    if not task.startswith("binary") or not prediction.dtype.is_float():
        return False
    known = prediction.fill_nan(None).drop_nulls()
    return known.len() > 0 and bool(known.is_between(0, 1).all()) and not set(known.unique()) <= set(classes)


def _must_be_classes(prediction: pl.Series, classes: Sequence[Class], name: str) -> None:
    """Raise UsageError if the prediction has a value that the target does not have."""
    numbers = codes(prediction, classes)
    if (numbers == -2).any():  # -2 is the code of a value that is not a class
        unknown = prediction[int((numbers == -2).argmax())]
        labels = ", ".join(map(repr, classes[:10]))
        raise UsageError(f"the prediction {name!r} holds {unknown!r}, which is not a value of the target ({labels})")
