"""The model that a target, and a prediction if there is one, ask for: task, positive class, the metric to watch."""

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
"""Rows that a class needs in the reference: with fewer the held-out part may get them all."""
FEW_TO_LEARN_FROM = 50
MOST_CLASSES = 20
"""Whole numbers with more values than this are amounts; with fewer, classes."""


@dataclass(frozen=True, slots=True)
class Model:
    """How the model is declared, and the metric to watch: `floor` is what saying the same of every row reaches."""

    task: str
    why: str
    said: str
    positive: str | None
    probability: bool
    metric: str
    floor: float | None
    labelled: float


def proposed_model(before: Table, rows: int, columns: dict[str, Column], wishes: Wishes) -> Model:
    target = columns[str(wishes.target)]
    with reading(before):
        named = dict.fromkeys([target.name, *([wishes.prediction] if wishes.prediction else [])])
        frame = before.frame.select(list(named)).collect(engine="streaming")
    values = frame[target.name]
    values = (values.fill_nan(None) if values.dtype.is_float() else values).drop_nulls()
    if target.family not in ("integer", "number", "text", "boolean") or values.dtype == pl.Null:
        raise UsageError(f"the target {target.name!r} is {target.family}; it must be text, a number, true or false")
    task, why = _task(target, values)
    labelled = values.len() / rows
    if task == "regression":
        return _regression(frame, values, wishes, why, labelled)
    classes = observed(values)
    counts = {one: int((codes(values, classes) == i).sum()) for i, one in enumerate(classes)}
    often = [one for one, count in counts.items() if count >= FEW_OF_A_CLASS]
    if wishes.prediction is None and (len(often) < 2 or (task.startswith("binary") and len(often) < len(classes))):
        told = ", ".join(f"{one!r} {count} times" for one, count in list(counts.items())[:10])
        when = " before the time of the first batch" if wishes.time else ""
        raise UsageError(
            f"the target {target.name!r} has too few values to learn from: {told}; "
            f"at least {FEW_OF_A_CLASS} of each of two classes are needed{when}"
        )
    positive = _positive(classes, counts) if task.startswith("binary") else None
    probability = wishes.prediction is not None and _is_probability(frame[wishes.prediction], classes, task)
    if wishes.prediction and not probability:
        _must_be_classes(frame[wishes.prediction], classes, wishes.prediction)
    auc = task.startswith("binary") and (wishes.prediction is None or probability)
    return Model(
        task=task,
        why=why,
        said=text(wishes.prediction) if wishes.prediction else "",
        positive=None if positive is None else scalar(positive),
        probability=probability,
        metric="roc_auc" if auc else "accuracy",
        floor=0.6 if auc else rounded(max(counts.values()) / values.len()),
        labelled=labelled,
    )


def _regression(frame: pl.DataFrame, values: pl.Series, wishes: Wishes, why: str, labelled: float) -> Model:
    numbers = values.cast(pl.Float64)
    if wishes.prediction is None and (numbers.len() < FEW_TO_LEARN_FROM or numbers.is_infinite().any()):
        what = "infinite values" if numbers.is_infinite().any() else f"{numbers.len()} values, too few to learn from"
        raise UsageError(f"the target {values.name!r} has {what}; at least {FEW_TO_LEARN_FROM} are needed")
    if wishes.prediction and not frame[wishes.prediction].dtype.is_numeric():
        raise UsageError(f"the prediction {wishes.prediction!r} is no number, but the target {values.name!r} is")
    off = (numbers - numbers.median()).abs().mean()
    floor = rounded(off) if isinstance(off, float) and math.isfinite(off) and off > 0 else None
    said = text(wishes.prediction) if wishes.prediction else ""
    return Model("regression", why, said, None, False, "mae", floor, labelled)


def _task(target: Column, values: pl.Series) -> tuple[str, str]:
    distinct = values.n_unique()
    if distinct < 2:
        when = "no value" if distinct == 0 else "one value only"
        raise UsageError(f"the target {target.name!r} has {when}: there is nothing to predict")
    if distinct == 2:
        return "binary_classification", "it has two values"
    whole = target.family == "integer" or (target.family == "number" and bool((values == values.round()).all()))
    if target.family == "text" or (whole and distinct <= MOST_CLASSES):
        if distinct > MAX_CLASSES:
            raise UsageError(f"the target {target.name!r} is text with {distinct:,} different values: no classes")
        return "multiclass_classification", f"it has {distinct} different values"
    return "regression", "it is a number with many values"


def _positive(classes: Sequence[Class], counts: dict[Class, int]) -> Class:
    """Return the class to look for: true, the larger number, the rarer text."""
    return min(classes, key=lambda one: counts[one]) if isinstance(classes[0], str) else classes[-1]


def _is_probability(prediction: pl.Series, classes: Sequence[Class], task: str) -> bool:
    if not task.startswith("binary") or not prediction.dtype.is_float():
        return False
    known = prediction.fill_nan(None).drop_nulls()
    return known.len() > 0 and bool(known.is_between(0, 1).all()) and not set(known.unique()) <= set(classes)


def _must_be_classes(prediction: pl.Series, classes: Sequence[Class], name: str) -> None:
    places = codes(prediction, classes)
    if (places == -2).any():
        stranger = prediction[int((places == -2).argmax())]
        known = ", ".join(map(repr, classes[:10]))
        raise UsageError(f"the prediction {name!r} holds {stranger!r}, which is no value of the target ({known})")
