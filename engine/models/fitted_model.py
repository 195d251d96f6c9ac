"""A model that can score rows, of any kind.

Kinds of models differ in their `Predictor`: a scikit-learn estimator, columns of the dataset, or a user's function.
Classes, threshold and the columns of the scores are handled here, because they are the same for all kinds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.drift.reading.alignment import KnownColumn
from engine.errors import ModelError
from engine.models.classes import ClassValue, class_labels
from engine.models.features import require_columns


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of n rows: `values` (classes or numbers, (n,)), `probabilities` (n, classes), or both."""

    values: pl.Series | None = None
    probabilities: npt.NDArray[np.float64] | None = None


class RowError(ModelError):
    """An error in the prediction of one row, counted from 0 in the scored frame.

    A caller that knows the source of the row calls `name_place` to put its place, such as a line of a file, into the
    message.
    """

    def __init__(self, before: str, row: int, after: str) -> None:
        super().__init__(f"{before}row {row + 1:,}{after}")
        self.before, self.row, self.after = before, row, after

    def shift_row(self, rows: int) -> "RowError":
        """Return the error with the row's number in the whole frame; `rows` is the number of rows before the batch."""
        return RowError(self.before, self.row + rows, self.after)

    def name_place(self, place: str) -> ModelError:
        """Return the error with the place of the row."""
        return ModelError(f"{self.before}{place}{self.after}")


class Predictor(Protocol):
    """Predicts the rows of a frame, which must have `columns`."""

    @property
    def columns(self) -> Sequence[str]: ...

    def predict(self, frame: pl.DataFrame) -> Predictions: ...


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A model, ready to score.

    `features` are the input columns that are compared for drift. `classes` are sorted, and empty for a regression; the
    column `probability_<i>` of the scores belongs to `classes[i]`. `known_classes` are those that were not merely
    assumed because labels are missing; `undecided` is empty, or says why the positive class is unknown. `positive` is
    None unless the task is binary. With a `threshold`, the probability determines the predicted class; without one, the
    predictor's own predictions are used. `own_threshold` describes the threshold inside an estimator that has one.
    `importance` sums to 1 over the features; None if unknown. `left_out` gives, by column, the reason why it is not a
    feature. `known` are the roles and types of the columns at training; empty if unknown. `details` is ready for JSON.
    """

    name: str
    task: str
    target: str
    features: tuple[str, ...]
    predictor: Predictor
    classes: tuple[ClassValue, ...] = ()
    positive: ClassValue | None = None
    threshold: float | None = None
    own_threshold: str | None = None
    importance: Mapping[str, float] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, KnownColumn] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    known_classes: tuple[ClassValue, ...] = ()
    undecided: str = ""

    def score(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame with `prediction` and, if the model gives them, `probability_0`, `probability_1`, ….

        Raises
        ------
        ModelError
            A column is missing or has another type, or the predictions are malformed.
        """
        require_columns(self.predictor.columns, frame.columns, f"model {self.name}")
        predicted = self.predictor.predict(frame)
        if predicted.probabilities is None:
            if predicted.values is None:
                raise ModelError(f"model {self.name}: its function returned neither predictions nor probabilities")
            if self.positive is not None and self.threshold is not None:
                raise ModelError(
                    f"model {self.name}: it gives no probabilities, so a threshold has no effect: remove threshold:"
                )
            return predicted.values.alias("prediction").to_frame()
        by_class = {f"probability_{i}": predicted.probabilities[:, i] for i in range(len(self.classes))}
        values = predicted.values
        if values is None or self.threshold is not None:
            values = self._classify(predicted.probabilities, self.threshold)
        return pl.DataFrame({"prediction": values, **by_class})

    def describe_decisions(self, scored: pl.DataFrame) -> str | None:
        """Return a note if anything other than a threshold of 0.5 determines the predicted class, else None.

        Parameters
        ----------
        scored
            Rows with their scores, as `score` returns them.
        """
        positive = self.classes.index(self.positive) if self.positive is not None else 0
        if self.positive is None or f"probability_{positive}" not in scored.columns:
            return None
        if self.threshold is not None:
            instead = (
                f"the threshold of the spec decides, {self.threshold:g}, not that of the model: {self.own_threshold}"
            )
            return instead if self.own_threshold else None
        usual = self._classify(scored.select(f"probability_{i}" for i in range(len(self.classes))).to_numpy(), 0.5)
        others = int((class_labels(usual).ne_missing(class_labels(scored["prediction"]))).sum())
        if not others:
            return None
        of_model = f": {self.own_threshold}" if self.own_threshold else ""
        return (
            f"the model itself decides which class it predicts{of_model}; with a threshold of 0.5, {others:,} of "
            f"{scored.height:,} predictions would be other ones"
        )

    def _classify(self, probabilities: npt.NDArray[np.float64], threshold: float | None) -> pl.Series:
        """Return the class predicted from probabilities, shape (rows, classes); null if one is missing.

        The default threshold of two classes is 0.5.
        """
        missing = np.isnan(probabilities).any(axis=1)
        if self.positive is None:  # more than two classes: the most probable one
            indices = np.where(missing, 0, np.nan_to_num(probabilities).argmax(axis=1))
        else:  # two classes: the positive one from the threshold upwards
            positive = self.classes.index(self.positive)
            least = 0.5 if threshold is None else threshold
            indices = np.where(probabilities[:, positive] >= least, positive, 1 - positive)
        predicted = pl.Series(list(self.classes)).gather(indices)
        return predicted.set(pl.Series(missing), None) if missing.any() else predicted


def score_frame(
    model: FittedModel, frame: pl.LazyFrame, keep: Sequence[str] = (), *, batch_rows: int = 131_072
) -> pl.DataFrame:
    """Score a lazy frame in batches.

    Only the needed columns are read, and only the scores and kept columns stay in memory.

    Parameters
    ----------
    keep
        Columns to return with the scores, such as target and entity.
    batch_rows
        Rows per batch; polars may give larger ones.

    Returns
    -------
    DataFrame
        The kept columns, `prediction`, `probability_<i>`; rows in the frame's order.

    Raises
    ------
    ModelError
        As in `FittedModel.score`, or a kept column has the name of a score.
    """
    columns = frame.collect_schema().names()
    if clash := [c for c in keep if c == "prediction" or c.startswith("probability_")]:
        raise ModelError(f"model {model.name}: column {clash[0]!r} has the name of a score column; rename it")
    require_columns([*model.predictor.columns, *keep], columns, f"model {model.name}")
    wanted = frame.select(*dict.fromkeys([*model.predictor.columns, *keep]))
    batches = wanted.collect_batches(chunk_size=batch_rows, maintain_order=True)
    scored, rows = [], 0
    for batch in batches:
        if not batch.height:  # models are not called without rows
            continue
        try:
            scored.append(pl.concat([batch.select(keep), model.score(batch)], how="horizontal"))
        except RowError as fault:
            raise fault.shift_row(rows) from fault
        rows += batch.height
    if not scored:
        empty = wanted.limit(0).collect()
        scored = [pl.concat([empty.select(keep), pl.DataFrame(schema={"prediction": pl.Null})], how="horizontal")]
    return pl.concat(scored, how="vertical_relaxed")
