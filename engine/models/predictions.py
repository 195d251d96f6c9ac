"""Predictions from columns of a dataset or from a user's function, checked and converted to one form.

That form is `Predictions`: values, and probabilities by class. Accepted are

- one column of predictions: classes, or numbers for a regression;
- for a binary task, one column of floats: the probability of the positive class;
- columns named after the classes: the probability of each;
- columns named `prediction` and `probability`;
- an array of shape (rows, classes): the probabilities, in the sorted order of the classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.errors import ModelError
from engine.formatting.lists import join_some
from engine.models.classes import ClassValue, encode_classes, label_of
from engine.models.fitted_model import Predictions, RowError

SUM_TOLERANCE = 1e-3
"""Maximum deviation of the sum of a row's probabilities from 1: float32 models and rounded columns are not exact."""


@dataclass(frozen=True, slots=True)
class PredictionParser:
    """Parses predictions of these classes (none for a regression). `where` starts every error message."""

    classes: Sequence[ClassValue]
    positive: ClassValue | None
    where: str

    def parse(self, output: Any, rows: int) -> Predictions:
        """Return predictions for `rows` rows in the common form.

        Raises
        ------
        ModelError
            The output has another length or an unknown type, or holds something other than classes, numbers or
            probabilities.
        """
        columns = self._to_columns(output)
        if len(columns) == 1 and not {*columns} & {"prediction", "probability", *map(label_of, self.classes)}:
            # A frame of one column counts as that column, whatever its name.
            columns = self._to_columns(next(iter(columns.values())))
        for name, column in columns.items():
            if column.len() != rows:
                raise ModelError(f"{self.where}: {name} holds {column.len():,} values for {rows:,} rows")
        values = columns.pop("prediction", None)
        if not self.classes:
            if values is None or columns:
                raise ModelError(
                    f"{self.where}: regression needs one column of numbers, got {self._list_columns(columns)}"
                )
            return Predictions(values=self._to_numbers(values, "prediction"))
        probabilities = self._parse_probabilities(columns) if columns else None
        return Predictions(self._parse_classes(values) if values is not None else None, probabilities)

    def _to_columns(self, output: Any) -> dict[str, pl.Series]:
        """Return a model's output as columns by name: `prediction`, `probability`, or the label of a class."""
        match output:
            case pl.DataFrame():
                return {str(c): output[c] for c in output.columns}
            case Mapping():
                return {str(c) if isinstance(c, str) else label_of(c): self._to_series(v) for c, v in output.items()}
            case np.ndarray() if output.ndim == 2:
                if output.shape[1] != len(self.classes):
                    raise ModelError(
                        f"{self.where}: returned an array of {output.shape[1]} columns, but there are "
                        f"{len(self.classes)} classes: {join_some(self.classes)}"
                    )
                return {label_of(c): pl.Series(output[:, i]) for i, c in enumerate(self.classes)}
        # One column without a name: in a binary task floats are probabilities; anything else is a prediction. NaN
        # compares as false: a row with a missing probability passes here and gets no class later.
        only = self._to_series(output)
        is_probability = self.positive is not None and only.dtype.is_float()
        return {"probability" if is_probability else "prediction": only}

    def _to_series(self, values: Any) -> pl.Series:
        if isinstance(values, pl.Series):
            return values
        if isinstance(values, np.ndarray) and values.ndim == 1:
            return pl.Series(values.tolist() if values.dtype == object else values)
        if isinstance(values, list | tuple):
            return pl.Series(values)
        raise ModelError(
            f"{self.where}: returned {type(values).__name__}; it must return a polars Series or DataFrame, a numpy "
            "array, a list, or a mapping of these"
        )

    def _parse_probabilities(self, columns: Mapping[str, pl.Series]) -> npt.NDArray[np.float64]:
        """Return the probabilities, shape (rows, classes), with columns in the order of the classes."""
        if set(columns) == {"probability"} and self.positive is not None:
            positive = self._check_probabilities(columns["probability"], "probability")
            at = list(self.classes).index(self.positive)
            return np.column_stack([positive if i == at else 1 - positive for i in range(2)])
        names = [label_of(c) for c in self.classes]
        if set(columns) != set(names):
            raise ModelError(
                f"{self.where}: got {self._list_columns(columns)}; "
                f"needed are the probabilities of the classes {join_some(names)}"
            )
        by_class = np.column_stack([self._check_probabilities(columns[n], n) for n in names])
        # A NaN compares as false: a row with a missing probability passes here and gets no class later.
        off = np.abs(by_class.sum(axis=1) - 1) > SUM_TOLERANCE
        if off.any():
            row = int(off.argmax())
            total = f" add up to {by_class[row].sum():.4g}, not to 1"
            raise RowError(f"{self.where}: the probabilities of ", row, total)
        return by_class

    def _check_probabilities(self, column: pl.Series, name: str) -> npt.NDArray[np.float64]:
        """Return a column of probabilities after checking that each is between 0 and 1; NaN where missing."""
        numbers = self._to_numbers(column, name).to_numpy()
        wrong = (numbers < 0) | (numbers > 1)
        if wrong.any():
            row = int(wrong.argmax())
            found = f" is {numbers[row]:g}; a probability must be between 0 and 1"
            raise RowError(f"{self.where}: {name} of ", row, found)
        return numbers

    def _to_numbers(self, column: pl.Series, name: str) -> pl.Series:
        if column.null_count() == column.len():  # a CSV column without any value is text
            column = column.cast(pl.Float64)
        if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
            raise ModelError(f"{self.where}: {name} holds {column.dtype}, not numbers")
        return column.cast(pl.Float64).fill_null(float("nan")).alias(name)

    def _parse_classes(self, column: pl.Series) -> pl.Series:
        """Return predicted classes as values of the target: "1", 1.0 and true all become the class 1."""
        # With more than two classes, a predicted class that does not occur in the labels is accepted.
        if self.positive is None:
            return column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column
        places = encode_classes(column, self.classes)
        unknown = places == -2
        if unknown.any():
            row = int(unknown.argmax())
            found = f" is predicted {column[row]!r}, which is not one of the classes {join_some(self.classes)}"
            raise RowError(f"{self.where}: ", row, found)
        return pl.Series(list(self.classes)).gather(np.maximum(places, 0)).set(pl.Series(places < 0), None)

    def _list_columns(self, columns: Mapping[str, pl.Series]) -> str:
        return join_some(list(columns)) if columns else "nothing"
