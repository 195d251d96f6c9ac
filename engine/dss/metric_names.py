"""The metrics of DSS, and what they are called here."""

import re

from engine.spec.metric_names import MetricName, resolve_metric_name

STORE_METRICS = {
    "DATA_DRIFT": "data_drift",
    "DATA_DRIFT_PVALUE": "data_drift_p",
    "MIN_KS": "ks_p.*",
    "MIN_CHISQUARE": "chi2_p.*",
    "MAX_PSI": "psi.*",
    "PREDICTION_DRIFT_PSI": "prediction_drift.psi",
    "PREDICTION_DRIFT_CHISQUARE": "prediction_drift.chi2_p",
    "ACCURACY": "accuracy",
    "PRECISION": "precision",
    "RECALL": "recall",
    "F1": "f1",
    "AUC": "roc_auc",
    "ROC_AUC": "roc_auc",
    "AVERAGE_PRECISION": "average_precision",
    "LOG_LOSS": "log_loss",
    "CUMULATIVE_LIFT": "lift",
    "LIFT": "lift",
    "CALIBRATION_LOSS": "calibration_error",
    "COST_MATRIX": "cost_matrix_gain",
    "HAMMING_LOSS": "hamming_loss",
    "MCC": "mcc",
    "MAE": "mae",
    "MSE": "mse",
    "RMSE": "rmse",
    "RMSLE": "rmsle",
    "MAPE": "mape",
    "R2": "r2",
    "EVS": "explained_variance",
    "PEARSON": "pearson",
}
"""Of evaluation stores, as in `model_perf:DATA_DRIFT`."""

_DATASET_METRICS = {"records:COUNT_RECORDS": "row_count", "basic:COUNT_COLUMNS": "column_count"}
_COLUMN_METRICS = {
    "MIN": "min",
    "MAX": "max",
    "MEAN": "mean",
    "AVG": "mean",
    "SUM": "sum",
    "STDDEV": "std",
    "MEDIAN": "median",
    "COUNT_DISTINCT": "distinct_count",
    "COUNT_NULL": "missing_count",
    "COUNT_EMPTY": "missing_count",
}
_SUFFIXES = {"_KS": "ks_p", "_Chi-square": "chi2_p", "_PSI": "psi"}


def translate_metric(id_: str, scope: str) -> str | None:
    """Return our name of a metric of DSS; None if there is none.

    Parameters
    ----------
    scope
        Whether the metric is one of a `dataset` or of a `store`.
    """
    found = _find_store_metric(id_) if scope == "store" else _find_dataset_metric(id_)
    if found is None or not isinstance(
        resolve_metric_name(found, "store" if scope == "store" else "dataset"), MetricName
    ):
        return None
    return found


def _find_store_metric(id_: str) -> str | None:
    name = id_.removeprefix("model_perf:")
    if name in STORE_METRICS:
        return STORE_METRICS[name]
    for suffix, statistic in _SUFFIXES.items():
        if name.endswith(suffix) and len(name) > len(suffix):
            return str(MetricName(statistic, name.removesuffix(suffix)))
    return None


def _find_dataset_metric(id_: str) -> str | None:
    if id_ in _DATASET_METRICS:
        return _DATASET_METRICS[id_]
    column = re.fullmatch(r"(?:adv_)?col_stats:([A-Z_]+):(.+)", id_, re.DOTALL)
    statistic = _COLUMN_METRICS.get(column[1]) if column else None
    return str(MetricName(statistic, column[2])) if column and statistic else None
