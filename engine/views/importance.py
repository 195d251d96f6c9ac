"""View of the importance of columns: whether the model depends on drifted columns."""

from dataclasses import dataclass

from engine.evaluation.record import Evaluation


@dataclass(frozen=True, slots=True)
class ImportanceRow:
    """A column's importance in the drift model and in the monitored model, and whether it drifted.

    `is_dangerous` means that it drifted and is above the average of both models.
    """

    name: str
    drift: float
    model: float | None
    is_drifted: bool
    is_dangerous: bool


@dataclass(frozen=True, slots=True)
class ImportanceView:
    """The columns, the most important in the drift model first.

    `average` is that of the drift model. `is_significant` tells whether batch and reference can be told apart; if not,
    the importance in the drift model means little.
    """

    columns: tuple[ImportanceRow, ...]
    average: float
    has_model: bool
    is_significant: bool


def describe_importance(evaluation: Evaluation) -> ImportanceView | None:
    """Return the importance of the columns; None if no drift model was trained."""
    drift, model = evaluation.importance.drift, evaluation.importance.model
    if not drift:
        return None
    average = 1 / len(drift)
    rows = []
    for name in sorted(drift, key=lambda name: -drift[name]):
        is_drifted = bool(evaluation.find_drift(name))
        dangerous = is_drifted and drift[name] >= average and model.get(name, 0) >= average
        rows.append(ImportanceRow(name, drift[name], model.get(name), is_drifted, dangerous))
    return ImportanceView(
        columns=tuple(rows),
        average=average,
        has_model=bool(model),
        is_significant=bool(evaluation.find_value("data_drift_significant")),
    )
