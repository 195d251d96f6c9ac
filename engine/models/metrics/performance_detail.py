"""What a measurement of a model's performance keeps beside its metrics: counts of rows, matrix, curves and plots.

All are plain data of few numbers, however many rows were measured. The names of the fields are the keys of their JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of a batch by what they lack to be measured."""

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
    """Per bin of predicted probabilities: their mean, the frequency of what was predicted, and the number of rows."""

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
    """One metric of rows that have a label: as it was to be expected, as it is, and the p-value (Holm 1979)."""

    metric: str
    expected: float
    realised: float
    p_value: float


@dataclass(frozen=True, slots=True)
class EstimateDetail:
    """What the estimates of an evaluation rest on.

    Attributes
    ----------
    method
        calibrated, reweighted or prediction-powered.
    rows, labelled
        Rows of the batch that were used, and those among them whose label is known.
    reference_rows, effective_rows
        Rows of the reference with a label, and the number of independent, equally weighted ones (entities, where the
        dataset declares them) that would tell as much.
    outside
        Share of the batch that lies where the reference has hardly any row; None where that was not looked at.
    compared
        The metrics of the labelled rows beside those expected of them, by p-value, the smallest first.
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
    """Everything that is kept of a measurement beside the metrics; what a task or a batch does not have is None."""

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
    """Return the rows that performance was measured on: `812 of 1,000 rows: 100 have no label, 88 no prediction`."""
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
