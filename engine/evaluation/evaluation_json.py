"""Convert evaluations and check results to JSON: details for the store and back, and whole records for programs.

In the store, the details of a column omit its drift and statistics, which are metrics. Early versions stored them there
as well; they are ignored. The JSON for programs contains them with their column.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from math import inf, isfinite
from typing import Any

from pydantic import TypeAdapter

from engine.evaluation.bounds import bounds_to_json
from engine.evaluation.detail import ColumnDetail, ColumnImportance, Histogram, PredictionDetail
from engine.evaluation.record import CheckResult, Evaluation, MetricValue
from engine.models import PerformanceDetail

DETAILS = ("columns", "importance", "prediction", "performance")
"""The fields of an evaluation that are stored as details; `performance` includes that of the reference."""

Json = dict[str, Any]

_HISTOGRAM_PARTS = fields(Histogram)
_DRIFT = ("drift", "drift_low", "drift_p")
_COLUMN_KEYS = ("role", *_DRIFT, "significant", "statistics", "reasons", "histogram", "detectable")


def details_to_json(evaluation: Evaluation) -> dict[str, Json]:
    """Return the details of an evaluation for the store, by the names in `DETAILS`."""
    predicted = evaluation.prediction.columns if evaluation.prediction else {}
    metrics = evaluation.group_prediction_metrics()
    return {
        "columns": {name: _column_to_json(detail) for name, detail in evaluation.columns.items()},
        "importance": _fields_to_json(evaluation.importance),
        "prediction": {
            name: _column_to_json(detail) | (_statistics_to_json(metrics[name]) if detail.statistics else {})
            for name, detail in predicted.items()
        },
        "performance": _performance_to_json(evaluation),
    }


def read_details(evaluation: Evaluation, stored: Mapping[str, Any]) -> Evaluation:
    """Return an evaluation with the details in `stored`, by the names in `DETAILS`.

    Early versions also stored the drift and the statistics of each column, which are metrics of the evaluation.
    """
    predicted = {name: _column_from_json(column) for name, column in stored["prediction"].items()}
    prediction = PredictionDetail(predicted["prediction"], predicted.get("probability")) if predicted else None
    if prediction is not None and prediction.probability is not None:
        prediction = replace(
            prediction, prediction=_add_statistics(prediction.prediction, stored["prediction"]["prediction"])
        )
    return replace(
        evaluation,
        columns={name: _column_from_json(column) for name, column in stored["columns"].items()},
        importance=ColumnImportance(**stored["importance"]),
        prediction=prediction,
        performance=_performance_adapter().validate_python(stored["performance"]),
        reference_performance={
            name: MetricValue(**value) for name, value in stored["performance"].get("reference", {}).items()
        },
    )


def evaluation_to_json(evaluation: Evaluation) -> Json:
    """Return a whole evaluation: its fields by name, with all statistics of a column in `columns`."""
    plain = {
        one.name: getattr(evaluation, one.name) for one in fields(evaluation) if one.name != "reference_performance"
    }
    predicted = evaluation.prediction.columns if evaluation.prediction else {}
    time = evaluation.time
    return plain | {
        "time": {"start": evaluation.moment, "end": time and time.end, "declared": time and time.text},
        "columns": _measured_columns_to_json(evaluation.columns, evaluation.group_column_metrics()),
        "importance": _fields_to_json(evaluation.importance),
        "prediction": _measured_columns_to_json(predicted, evaluation.group_prediction_metrics()),
        "performance": _performance_to_json(evaluation),
    }


def check_to_json(result: CheckResult) -> Json:
    """Return a check result by the names of its fields; `bounds` by the keys of the spec."""
    return _fields_to_json(result) | {
        "bounds": bounds_to_json(result.bounds),
        "position": result.position and _fields_to_json(result.position),
        "mute": result.mute and _fields_to_json(result.mute),
    }


def _fields_to_json(value: Any) -> Json:
    """Return the fields of a dataclass by name; `asdict` would copy each value, which takes longer than storing it."""
    return {one.name: getattr(value, one.name) for one in fields(value)}


def _measured_columns_to_json(
    columns: Mapping[str, ColumnDetail], metrics: Mapping[str, Mapping[str, MetricValue]]
) -> Json:
    merged = {name: _column_to_json(detail) | _statistics_to_json(metrics[name]) for name, detail in columns.items()}
    return {name: {key: column.get(key) for key in _COLUMN_KEYS} for name, column in merged.items()}


def _column_to_json(detail: ColumnDetail) -> Json:
    column: Json = {
        "role": detail.role,
        "significant": detail.significant,
        "histogram": {
            one.name: part for one in _HISTOGRAM_PARTS if (part := getattr(detail.histogram, one.name)) is not None
        },
    }
    if detail.detectable is not None:
        # JSON has no infinity: if no drift would be found, the key has no value.
        column["detectable"] = detail.detectable if isfinite(detail.detectable) else None
    return column


def _statistics_to_json(metrics: Mapping[str, MetricValue]) -> Json:
    """Return the drift and the statistics of a column, and the reasons for those without a value."""
    return {
        **{name: metrics[name].value if name in metrics else None for name in _DRIFT},
        "statistics": {name: one.value for name, one in metrics.items() if name not in _DRIFT},
        "reasons": {name: one.reason for name, one in metrics.items() if one.reason is not None},
    }


def _column_from_json(stored: Mapping[str, Any]) -> ColumnDetail:
    detectable = stored.get("detectable", None)
    return ColumnDetail(
        role=stored["role"],
        significant=stored["significant"],
        histogram=_histogram_adapter().validate_python(stored["histogram"]),
        detectable=inf if detectable is None and "detectable" in stored else detectable,
    )


def _add_statistics(detail: ColumnDetail, stored: Mapping[str, Any]) -> ColumnDetail:
    drift = {name: stored[name] for name in _DRIFT}
    return replace(detail, statistics={**drift, **stored["statistics"]}, reasons=stored["reasons"])


def _performance_to_json(evaluation: Evaluation) -> Json:
    measured = {name: part for name, part in asdict(evaluation.performance).items() if part is not None}
    reference = {
        name: {"value": one.value, "low": one.low, "high": one.high}
        for name, one in evaluation.reference_performance.items()
    }
    return {**measured, **({"reference": reference} if reference else {})}


@cache
def _histogram_adapter() -> TypeAdapter[Histogram]:
    return TypeAdapter(Histogram)


@cache
def _performance_adapter() -> TypeAdapter[PerformanceDetail]:
    return TypeAdapter(PerformanceDetail)
