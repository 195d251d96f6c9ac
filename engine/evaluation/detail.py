"""What an evaluation keeps of its columns and predictions beside their metrics: roles, histograms, detectable drift."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Rows of both sides per bin.

    Attributes
    ----------
    edges
        The inner edges of the bins of a numerical column; bins include their right edge, the outer bins are unbounded.
    labels
        The categories of a categorical column that have a bin of their own.
    reference, batch
        Rows per bin: one more than edges, or as many as labels.
    other
        Rows of the categories that are not listed, in the reference and in the batch; only beside `labels`.
    missing
        Rows without a value, in the reference and in the batch.
    """

    edges: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    reference: tuple[int, ...]
    batch: tuple[int, ...]
    other: tuple[int, int] | None = None
    missing: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDetail:
    """What is kept of a compared column beside its metrics.

    Attributes
    ----------
    significant
        Whether the drift is significant among all tests of the evaluation.
    detectable
        The smallest drift that 4 of 5 such batches show; infinite if they show none, however large; None where that is
        not known: the column has no verdict, or an early version has made the evaluation.
    statistics, reasons
        The statistics that are not metrics of the evaluation, and why some have no value; see `PredictionDetail`.
    """

    role: Literal["numerical", "categorical"]
    significant: bool
    histogram: Histogram
    detectable: float | None = None
    statistics: Mapping[str, float | None] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictionDetail:
    """What is kept of the predictions beside their metrics: `prediction`, the class or value, and `probability`.

    The metrics `prediction_drift.<statistic>` are those of the probability where there is one, which carries more
    information than the class; those of the class are then kept here.
    """

    prediction: ColumnDetail
    probability: ColumnDetail | None = None

    @property
    def main(self) -> ColumnDetail:
        """The column whose drift is the prediction drift."""
        return self.probability or self.prediction

    @property
    def columns(self) -> dict[str, ColumnDetail]:
        """Both columns by name, as far as there are."""
        return {
            "prediction": self.prediction,
            **({} if self.probability is None else {"probability": self.probability}),
        }


@dataclass(frozen=True, slots=True)
class ColumnImportance:
    """How important each column is, as shares that add up to 1: in the drift model, and in the monitored model."""

    drift: Mapping[str, float] = field(default_factory=dict)
    model: Mapping[str, float] = field(default_factory=dict)
