"""The details of columns and predictions that an evaluation stores besides metrics, such as roles and histograms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Numbers of rows of both sides per bin.

    Attributes
    ----------
    edges
        The inner edges of the bins of a numerical column; bins include their right edge, the outer bins are unbounded.
    labels
        The categories of a categorical column with a bin of their own.
    reference, batch
        Number of rows per bin: one more than edges, or as many as labels.
    other
        Number of rows of the categories that are not listed, in the reference and in the batch; only with `labels`.
    missing
        Number of rows without a value, in the reference and in the batch.
    """

    edges: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    reference: tuple[int, ...]
    batch: tuple[int, ...]
    other: tuple[int, int] | None = None
    missing: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDetail:
    """The stored details of a compared column besides its metrics.

    Attributes
    ----------
    significant
        Whether the drift is significant among all tests of the evaluation.
    detectable
        The smallest drift found in 4 of 5 such batches; infinite if no drift would be found; None if unknown, because
        the column has no verdict or an early version made the evaluation.
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
    """The stored details of the predictions: `prediction`, the class or value, and `probability`.

    The metrics `prediction_drift.<statistic>` are those of the probability if there is one, because it carries more
    information than the class; the statistics of the class are then stored here.
    """

    prediction: ColumnDetail
    probability: ColumnDetail | None = None

    @property
    def main(self) -> ColumnDetail:
        """The column whose drift is the prediction drift."""
        return self.probability or self.prediction

    @property
    def columns(self) -> dict[str, ColumnDetail]:
        """The existing columns by name."""
        return {
            "prediction": self.prediction,
            **({} if self.probability is None else {"probability": self.probability}),
        }


@dataclass(frozen=True, slots=True)
class ColumnImportance:
    """The importance of each column in the drift model and in the monitored model, as shares that add up to 1."""

    drift: Mapping[str, float] = field(default_factory=dict)
    model: Mapping[str, float] = field(default_factory=dict)
