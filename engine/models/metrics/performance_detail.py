"""The details of a performance measurement besides its metrics: counts of rows, matrix, curves and plots.

All are plain data with few numbers, however many rows were measured. The field names are the keys of their JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Numbers of rows of a batch by what they lack to be measured."""

    measured: int
    all: int
    without_label: int
    without_prediction: int


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Rows of each pair of classes: `rows_true_columns_predicted[i][j]` are those of class i predicted as class j."""

    classes: tuple[str, ...]
    rows_true_columns_predicted: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class RocCurve:
    """The rates at each threshold, from the highest to the lowest. The first point, (0, 0), has no threshold."""

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    threshold: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Recall and precision at each threshold, from the highest to the lowest."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]
    threshold: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """Per bin of predicted probabilities: their mean, the frequency of the predicted event, and the number of rows."""

    probability: tuple[float, ...]
    frequency: tuple[float, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PredictedAgainstTrue:
    """Rows of a regression on a grid. Its `edges` are quantiles of true and predicted values together."""

    edges: tuple[float, ...]
    rows_true_columns_predicted: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ResidualQuantiles:
    """Quantiles of the residuals of a regression, true minus predicted."""

    quantiles: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """One metric of the labelled rows: its expected value, its actual value, and the p-value (Holm 1979)."""

    metric: str
    expected: float
    realised: float
    p_value: float


@dataclass(frozen=True, slots=True)
class EstimateDetail:
    """The basis of the estimates of an evaluation.

    Attributes
    ----------
    method
        calibrated, reweighted or prediction-powered.
    rows, labelled
        Number of rows of the batch that were used, and of those with a known label.
    reference_rows, effective_rows
        Number of rows of the reference with a label, and of independent, equally weighted rows (entities, if the
        dataset declares them) with the same information.
    outside
        Share of the batch in a region where the reference has hardly any row; None if it was not examined.
    compared
        The metrics of the labelled rows and their expected values, by p-value, smallest first.
    """

    method: str
    rows: int
    labelled: int
    reference_rows: int
    effective_rows: float
    outside: float | None = None
    compared: tuple[LabelComparison, ...] = ()


@dataclass(frozen=True, slots=True)
class PerformanceDetail:
    """All stored details of a measurement besides its metrics; a detail that the task or batch lacks is None."""

    rows: RowCounts | None = None
    confusion_matrix: ConfusionMatrix | None = None
    calibration: CalibrationCurve | None = None
    roc: RocCurve | None = None
    precision_recall: PrecisionRecallCurve | None = None
    roc_auc_by_class: Mapping[str, float] | None = None
    predicted_against_true: PredictedAgainstTrue | None = None
    residuals: ResidualQuantiles | None = None
    estimate: EstimateDetail | None = None


def describe_measured_rows(counts: RowCounts) -> str:
    """Return the rows used for the measurement, as text: `812 of 1,000 rows: 100 have no label, 88 no prediction`."""
    lacking = [
        f"{rows:,} {'has' if rows == 1 else 'have'} no {what}"
        for rows, what in ((counts.without_label, "label"), (counts.without_prediction, "prediction"))
        if rows
    ]
    if len(lacking) == 2:
        lacking[1] = f"{counts.without_prediction:,} no prediction"
    if not lacking:
        return f"all {counts.all:,} rows"
    return f"{counts.measured:,} of {counts.all:,} rows: {', '.join(lacking)}"
