"""View of the drift of predictions: the share of each class, or of each decile of a regression."""

from dataclasses import dataclass

from engine.evaluation.record import Evaluation
from engine.spec.metrics.names import MetricName, parse_metric_name


@dataclass(frozen=True, slots=True)
class PredictedShare:
    """A class, or a decile of the reference's predictions, with its share on both sides and the relative change."""

    label: str
    reference: float | None
    batch: float | None
    change: float | None


@dataclass(frozen=True, slots=True)
class PredictionView:
    """The predictions of both sides. `in_deciles` means that the shares are those of deciles of a regression.

    `drift` is None if it has no value.
    """

    drift: float | None
    shares: tuple[PredictedShare, ...]
    in_deciles: bool


def describe_shares(evaluation: Evaluation) -> tuple[PredictedShare, ...]:
    """Return the share of each predicted class, in the order of the classes."""
    prefix = "predicted_share."
    return tuple(
        PredictedShare(
            _read_label(name),
            reference=evaluation.find_value(f"reference_{name}"),
            batch=measured.value,
            change=evaluation.find_value(f"fugacity.{name.removeprefix(prefix)}"),
        )
        for name, measured in evaluation.metrics.items()
        if name.startswith(prefix)
    )


def _read_label(metric: str) -> str:
    """Return the class in a metric's name, which is in quotes if it contains dots or quotes."""
    name = parse_metric_name(metric)
    return name.member if isinstance(name, MetricName) and name.member is not None else metric.partition(".")[2]


def describe_predictions(evaluation: Evaluation) -> PredictionView | None:
    """Return the drift of the predictions; None if they were not compared."""
    detail = evaluation.prediction
    if detail is None:
        return None
    return PredictionView(
        drift=evaluation.find_value("prediction_drift.drift"),
        shares=describe_shares(evaluation),
        in_deciles=detail.prediction.role == "numerical",
    )
