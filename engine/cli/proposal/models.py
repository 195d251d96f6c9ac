"""Propose the model for a target, and for a prediction if given: task, positive class, metric to monitor."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from engine.cli.column_choices import ColumnChoices
from engine.cli.proposal.predictions import PredictionColumns, find_prediction_columns, is_named_like_prediction
from engine.cli.proposal.yaml_writing import format_label, round_digits
from engine.data import Table, explain_read_errors
from engine.data.inspection import ColumnSummary
from engine.errors import UsageError
from engine.formatting.lists import join_some
from engine.models.classes import MAX_CLASSES, ClassValue, distinct_classes, encode_classes

MIN_ROWS_PER_CLASS = 10
"""Minimum number of rows per class in the reference: with fewer, the held-out part could get all of them."""
MIN_REGRESSION_ROWS = 50
"""Minimum number of values of a regression target."""
MAX_INTEGER_CLASSES = 20
"""Maximum number of distinct integers that are classes; more are amounts."""

AFFIRMATIVE_WORDS = frozenset({"yes", "y", "true", "t", "positive", "pos", "1", "1.0"})
"""Texts of a positive class, in lower case."""


@dataclass(frozen=True, slots=True)
class ModelProposal:
    """The proposed model and the metric to monitor.

    `columns` are those of the predictions; empty if the model is trained. `floor` is the metric of a constant
    prediction, for a check that the user may want.
    """

    task: str
    why: str
    positive: str | None
    columns: PredictionColumns
    metric: str
    floor: float | None


def propose_model(before: Table, columns: dict[str, ColumnSummary], choices: ColumnChoices) -> ModelProposal:
    """Propose a model from the rows of the reference.

    Parameters
    ----------
    before
        The reference: the rows before the first batch.

    Raises
    ------
    UsageError
        The target cannot be predicted, or the prediction does not fit it.
    """
    target = columns[str(choices.target)]
    with explain_read_errors(before):
        predicted = [choices.prediction] if choices.prediction else []
        if predicted:
            predicted += [name for name in columns if _may_be_prediction(name, columns, choices)]
        frame = before.frame.select(target.name, *predicted).collect(engine="streaming")
    values = frame[target.name]
    values = (values.fill_nan(None) if values.dtype.is_float() else values).drop_nulls()
    if target.column_type not in ("integer", "number", "text", "boolean") or values.dtype == pl.Null:
        raise UsageError(
            f"the target {target.name!r} has type {target.column_type}; it must be text, a number or a boolean"
        )
    task, reason = _infer_task(target, values)
    if task == "regression":
        return _propose_regression(frame, values, choices, reason)
    classes = distinct_classes(values)
    counts = {label: int((encode_classes(values, classes) == i).sum()) for i, label in enumerate(classes)}
    frequent = [label for label, count in counts.items() if count >= MIN_ROWS_PER_CLASS]
    if choices.prediction is None and (
        len(frequent) < 2 or (task.startswith("binary") and len(frequent) < len(classes))
    ):
        rows_of_classes = join_some(f"{label!r} {count} times" for label, count in counts.items())
        when = " before the time of the first batch" if choices.time else ""
        raise UsageError(
            f"the target {target.name!r} has too few values to train a model: {rows_of_classes}; "
            f"two classes with at least {MIN_ROWS_PER_CLASS} rows each are needed{when}"
        )
    positive = _choose_positive(classes, counts) if task.startswith("binary") else None
    found = PredictionColumns(None, None)
    if choices.prediction:
        scores = frame.drop(target.name)
        found = find_prediction_columns(scores, classes, choices.prediction, binary=task.startswith("binary"))
        if found.prediction:
            _require_classes(frame[found.prediction], classes, found.prediction)
    positive = positive if found.positive is None else found.positive
    # ROC AUC needs probabilities, which a predicted class does not give.
    auc = task.startswith("binary") and (choices.prediction is None or found.probability is not None)
    return ModelProposal(
        task=task,
        why=reason,
        positive=None if positive is None else format_label(positive),
        columns=found,
        metric="roc_auc" if auc else "accuracy",
        floor=0.6 if auc else round_digits(max(counts.values()) / values.len()),
    )


def _propose_regression(frame: pl.DataFrame, values: pl.Series, choices: ColumnChoices, reason: str) -> ModelProposal:
    """Propose a regression; its floor is the mean absolute error of always predicting the median."""
    numbers = values.cast(pl.Float64)
    if choices.prediction is None and numbers.is_infinite().any():
        raise UsageError(f"the target {values.name!r} has infinite values, so no model can be trained on it")
    if choices.prediction is None and numbers.len() < MIN_REGRESSION_ROWS:
        raise UsageError(
            f"the target {values.name!r} has {numbers.len()} values, too few to train a model; "
            f"at least {MIN_REGRESSION_ROWS} are needed"
        )
    if choices.prediction and not frame[choices.prediction].dtype.is_numeric():
        raise UsageError(f"the prediction {choices.prediction!r} is not a number, but the target {values.name!r} is")
    error = (numbers - numbers.median()).abs().mean()
    floor = round_digits(error) if isinstance(error, float) and math.isfinite(error) and error > 0 else None
    return ModelProposal("regression", reason, None, PredictionColumns(choices.prediction, None), "mae", floor)


def _infer_task(target: ColumnSummary, values: pl.Series) -> tuple[str, str]:
    """Return the task that the target's type and number of distinct values suggest, and the reason."""
    distinct = values.n_unique()
    if distinct < 2:
        what = "no value" if distinct == 0 else "only one distinct value"
        raise UsageError(f"the target {target.name!r} has {what}, so there is nothing to predict")
    if distinct == 2:
        return "binary_classification", "it has two distinct values"
    whole = target.column_type == "integer" or (
        target.column_type == "number" and bool((values == values.round()).all())
    )
    if target.column_type == "text" or (whole and distinct <= MAX_INTEGER_CLASSES):
        if distinct > MAX_CLASSES:
            raise UsageError(
                f"the target {target.name!r} is text with {distinct:,} distinct values; "
                f"a classification can have at most {MAX_CLASSES:,} classes"
            )
        return "multiclass_classification", f"it has {distinct} distinct values"
    return "regression", "it is a number with many distinct values"


def _choose_positive(classes: Sequence[ClassValue], counts: dict[ClassValue, int]) -> ClassValue:
    """Return the positive class: true, the larger number, an affirmative text, or the rarer text."""
    affirmed = [label for label in classes if str(label).casefold() in AFFIRMATIVE_WORDS]
    if len(affirmed) == 1:
        return affirmed[0]
    return min(classes, key=lambda label: counts[label]) if isinstance(classes[0], str) else classes[-1]


def _may_be_prediction(name: str, columns: Mapping[str, ColumnSummary], choices: ColumnChoices) -> bool:
    """Return whether another column than the named one may hold predictions too: decisions, shares from 0 to 1."""
    if name in (choices.target, choices.prediction, choices.time):
        return False
    low, high = columns[name].statistics["min"], columns[name].statistics["max"]
    is_share = low is not None and high is not None and low >= 0 and high <= 1
    return is_share or is_named_like_prediction(name)


def _require_classes(prediction: pl.Series, classes: Sequence[ClassValue], name: str) -> None:
    """Raise UsageError if the prediction has a value that the target lacks."""
    numbers = encode_classes(prediction, classes)
    if (numbers == -2).any():  # -2 is the code of a value that is not a class
        unknown = prediction[int((numbers == -2).argmax())]
        labels = join_some(map(repr, classes))
        raise UsageError(f"the prediction {name!r} holds {unknown!r}, which is not a value of the target ({labels})")
