"""What columns or a user's function say, verified and brought into the one form: values and probabilities by class.

Accepted: one column of predictions (classes or numbers); one column of decimals for a binary task, the probability of
the positive class; columns named after the classes, their probabilities; `prediction` and `probability` beside them;
an array of rows by classes, in the sorted order of the classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.errors import ModelError
from engine.models.classes import Class, codes, listed, text
from engine.models.fitted import Predicted

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a row may miss 1: models in float32, rounded columns."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads answers for these classes (none for regression); `where` starts every message."""

    classes: Sequence[Class]
    positive: Class | None
    where: str

    def read(self, answer: Any, rows: int) -> Predicted:
        """Return the answer for `rows` rows, in the one form.

        Raises
        ------
        ModelError
            It has another length, is of another kind, or holds what is no class, number or probability.
        """
        columns = self._columns(answer)
        if len(columns) == 1 and not {*columns} & {"prediction", "probability", *map(text, self.classes)}:
            columns = self._columns(next(iter(columns.values())))  # a frame of one column, whatever it is called
        for name, column in columns.items():
            if column.len() != rows:
                raise ModelError(f"{self.where}: {name} holds {column.len():,} values for {rows:,} rows")
        values = columns.pop("prediction", None)
        if not self.classes:
            if values is None or columns:
                raise ModelError(f"{self.where}: regression needs one column of numbers, got {self._got(columns)}")
            return Predicted(values=self._numbers(values, "prediction"))
        probabilities = self._probabilities(columns, rows) if columns else None
        return Predicted(self._labels(values) if values is not None else None, probabilities)

    def _columns(self, answer: Any) -> dict[str, pl.Series]:
        """Return the answer as named columns."""
        match answer:
            case pl.DataFrame():
                return {str(c): answer[c] for c in answer.columns}
            case Mapping():
                return {str(c) if isinstance(c, str) else text(c): self._series(v) for c, v in answer.items()}
            case np.ndarray() if answer.ndim == 2:
                if answer.shape[1] != len(self.classes):
                    raise ModelError(
                        f"{self.where}: an array of {answer.shape[1]} columns, but there are "
                        f"{len(self.classes)} classes: {listed(self.classes)}"
                    )
                return {text(c): pl.Series(answer[:, i]) for i, c in enumerate(self.classes)}
        only = self._series(answer)
        is_probability = self.positive is not None and only.dtype.is_float()
        return {"probability" if is_probability else "prediction": only}

    def _series(self, values: Any) -> pl.Series:
        if isinstance(values, pl.Series):
            return values
        if isinstance(values, np.ndarray) and values.ndim == 1:
            return pl.Series(values.tolist() if values.dtype == object else values)
        if isinstance(values, list | tuple):
            return pl.Series(values)
        raise ModelError(
            f"{self.where}: returned {type(values).__name__}; a polars Series or DataFrame, a numpy array, a list, "
            "or a mapping of these is needed"
        )

    def _probabilities(self, columns: Mapping[str, pl.Series], rows: int) -> npt.NDArray[np.float64]:
        if set(columns) == {"probability"} and self.positive is not None:
            positive = self._shares(columns["probability"], "probability")
            at = list(self.classes).index(self.positive)
            return np.column_stack([positive if i == at else 1 - positive for i in range(2)])
        names = [text(c) for c in self.classes]
        if set(columns) != set(names):
            raise ModelError(f"{self.where}: got {self._got(columns)}; the probabilities of {listed(names)} are needed")
        by_class = np.column_stack([self._shares(columns[n], n) for n in names])
        off = np.abs(by_class.sum(axis=1) - 1) > SUM_TOLERANCE
        if off.any():
            row = int(off.argmax())
            raise ModelError(
                f"{self.where}: the probabilities of row {row + 1:,} add up to {by_class[row].sum():.4g}, not to 1"
            )
        return by_class

    def _shares(self, column: pl.Series, name: str) -> npt.NDArray[np.float64]:
        numbers = self._numbers(column, name).to_numpy()
        wrong = (numbers < 0) | (numbers > 1)
        if wrong.any():
            row = int(wrong.argmax())
            raise ModelError(f"{self.where}: {name} of row {row + 1:,} is {numbers[row]:g}; a probability lies in 0..1")
        return numbers

    def _numbers(self, column: pl.Series, name: str) -> pl.Series:
        if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
            raise ModelError(f"{self.where}: {name} holds {column.dtype}, not numbers")
        return column.cast(pl.Float64).fill_null(float("nan")).alias(name)

    def _labels(self, column: pl.Series) -> pl.Series:
        if self.positive is None:  # a class that no label has shown yet is a class all the same
            return column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column
        places = codes(column, self.classes)
        unknown = places == -2
        if unknown.any():
            row = int(unknown.argmax())
            raise ModelError(
                f"{self.where}: row {row + 1:,} is predicted {column[row]!r}, which is none of the classes "
                f"{listed(self.classes)}"
            )
        return pl.Series(list(self.classes)).gather(np.maximum(places, 0)).set(pl.Series(places < 0), None)

    def _got(self, columns: Mapping[str, pl.Series]) -> str:
        return listed(list(columns)) if columns else "nothing"
