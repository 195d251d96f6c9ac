"""Evaluations as JSON: early rows are read, what metrics hold is stored once, programs get all of it."""

import json
from datetime import UTC, datetime
from math import inf

import pytest

from engine.evaluation.detail import ColumnDetail, ColumnImportance, Histogram, PredictionDetail
from engine.evaluation.evaluation_json import details_to_json, evaluation_to_json, read_details
from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.models.metrics.performance_detail import CalibrationCurve, PerformanceDetail, RowCounts

HISTOGRAM = {"edges": [1.0, 2.0], "reference": [5, 5, 5], "batch": [4, 5, 6], "missing": [0, 1]}
CLASSES = {"labels": ["no", "yes"], "reference": [7, 8], "batch": [5, 10], "other": [0, 0], "missing": [0, 0]}
EARLY = {
    "columns": {
        "age": {
            "role": "numerical", "drift": 0.0, "drift_low": 0.0, "drift_p": 1.0, "significant": False,
            "statistics": {"ks": 0.125, "psi": None}, "reasons": {"psi": "no value"}, "histogram": HISTOGRAM,
        },
        "a.b": {
            "role": "categorical", "drift": 0.5, "drift_low": 0.25, "drift_p": 0.01, "significant": True,
            "statistics": {"psi": 0.75}, "reasons": {}, "histogram": CLASSES, "detectable": None,
        },
    },
    "importance": {"drift": {"age": 0.25, "a.b": 0.75}, "model": {"age": 1.0}},
    "prediction": {
        "prediction": {
            "role": "categorical", "drift": None, "drift_low": None, "drift_p": 0.5, "significant": False,
            "statistics": {"psi": 0.125}, "reasons": {"drift": "too few rows", "drift_low": "too few rows"},
            "histogram": CLASSES, "detectable": 0.25,
        },
        "probability": {
            "role": "numerical", "drift": 0.0, "drift_low": 0.0, "drift_p": 0.75, "significant": False,
            "statistics": {"psi": 0.0625}, "reasons": {}, "histogram": HISTOGRAM, "detectable": 0.25,
        },
    },
    "performance": {
        "rows": {"measured": 9, "all": 10, "without_label": 1, "without_prediction": 0},
        "calibration": {"probability": [0.25, 0.75], "frequency": [0.5, 0.5], "rows": [4, 5]},
        "reference": {"roc_auc": {"value": 0.75, "low": 0.5, "high": 1.0}},
    },
}  # fmt: skip
"""The details of an evaluation as the version before typed ones has stored them."""

METRICS = {
    "drift.age": MetricValue(0.0, p_value=1.0), "drift_low.age": MetricValue(0.0), "drift_p.age": MetricValue(1.0),
    "ks.age": MetricValue(0.125, 0.0625, 0.25), "psi.age": MetricValue(None, reason="no value"),
    'drift."a.b"': MetricValue(0.5), 'drift_low."a.b"': MetricValue(0.25), 'drift_p."a.b"': MetricValue(0.01),
    'psi."a.b"': MetricValue(0.75), "type_changed.age": MetricValue(0.0), "performance_change.age": MetricValue(0.0),
    "prediction_drift.drift": MetricValue(0.0), "prediction_drift.drift_low": MetricValue(0.0),
    "prediction_drift.drift_p": MetricValue(0.75), "prediction_drift.psi": MetricValue(0.0625),
}  # fmt: skip


@pytest.fixture
def bare() -> Evaluation:
    """An evaluation without its details."""
    return Evaluation(
        id="e", store="the_MES", name="Q4 2017", labels={}, created=datetime(2026, 11, 23, tzinfo=UTC),
        fingerprints=Fingerprints("", "d", "r", "p"), engine_version="1", kernel_version="1", rows_read=15,
        rows_used=15, reference_rows=15, metrics=METRICS,
    )  # fmt: skip


def test_what_an_early_version_stored_is_read(bare: Evaluation) -> None:
    found = read_details(bare, EARLY)
    numbers = Histogram(edges=(1.0, 2.0), reference=(5, 5, 5), batch=(4, 5, 6), missing=(0, 1))
    classes = Histogram(labels=("no", "yes"), reference=(7, 8), batch=(5, 10), other=(0, 0))
    assert found.columns == {
        # that version did not know what drift it could find; the other column shows none, however large
        "age": ColumnDetail(role="numerical", significant=False, histogram=numbers, detectable=None),
        "a.b": ColumnDetail(role="categorical", significant=True, histogram=classes, detectable=inf),
    }
    assert found.importance == ColumnImportance({"age": 0.25, "a.b": 0.75}, {"age": 1.0})
    assert found.prediction == PredictionDetail(
        prediction=ColumnDetail(
            role="categorical",
            significant=False,
            histogram=classes,
            detectable=0.25,
            statistics={"drift": None, "drift_low": None, "drift_p": 0.5, "psi": 0.125},
            reasons={"drift": "too few rows", "drift_low": "too few rows"},
        ),
        probability=ColumnDetail(role="numerical", significant=False, histogram=numbers, detectable=0.25),
    )
    assert found.performance == PerformanceDetail(
        rows=RowCounts(measured=9, all=10, without_label=1, without_prediction=0),
        calibration=CalibrationCurve((0.25, 0.75), (0.5, 0.5), (4, 5)),
    )
    assert found.reference_performance == {"roc_auc": MetricValue(0.75, 0.5, 1.0)}


def test_what_the_metrics_hold_is_not_stored_again(bare: Evaluation) -> None:
    found = read_details(bare, EARLY)
    stored = json.loads(json.dumps(details_to_json(found)))
    assert set(stored["columns"]["age"]) == {"role", "significant", "histogram"}
    assert stored["columns"]["a.b"]["detectable"] is None
    assert "statistics" not in stored["prediction"]["probability"]
    # the drift of the classes is not a metric where there are probabilities
    assert stored["prediction"]["prediction"]["statistics"] == {"psi": 0.125}
    assert read_details(bare, stored) == found


def test_programs_get_a_column_with_all_its_statistics(bare: Evaluation) -> None:
    shown = evaluation_to_json(read_details(bare, EARLY))
    age = EARLY["columns"]["age"] | {"detectable": None}
    assert json.loads(json.dumps(shown["columns"])) == EARLY["columns"] | {"age": age}
    assert json.loads(json.dumps({key: shown[key] for key in ("importance", "prediction", "performance")})) == {
        key: EARLY[key] for key in ("importance", "prediction", "performance")
    }
