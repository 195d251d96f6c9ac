"""Maps metrics of Dataiku DSS to names here, for imports and for specs with DSS names."""

import re

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

DATASET_METRICS = {"records:COUNT_RECORDS": "row_count", "basic:COUNT_COLUMNS": "column_count"}
COLUMN_METRICS = {
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


def find_own_name(id_: str, scope: str) -> tuple[str, str | None] | None:
    """Return the statistic and the column here for a metric of DSS; None if there is none.

    Parameters
    ----------
    id_
        The name in DSS: `model_perf:DATA_DRIFT`, `DATA_DRIFT`, `card_age_PSI`, `col_stats:MIN:amount`.
    scope
        Whether the metric is one of a `dataset` or of a `store`.
    """
    return _find_store_metric(id_) if scope == "store" else _find_dataset_metric(id_)


def _find_store_metric(id_: str) -> tuple[str, str | None] | None:
    name = id_.removeprefix("model_perf:")
    if whole := STORE_METRICS.get(name.upper()):
        return whole, None
    for suffix, statistic in _SUFFIXES.items():
        if name.endswith(suffix) and len(name) > len(suffix):
            return statistic, name.removesuffix(suffix)
    return None


def _find_dataset_metric(id_: str) -> tuple[str, str | None] | None:
    if whole := DATASET_METRICS.get(id_):
        return whole, None
    column = re.fullmatch(r"(?:adv_)?col_stats:([A-Z_]+):(.+)", id_, re.DOTALL)
    statistic = COLUMN_METRICS.get(column[1]) if column else None
    return (statistic, column[2]) if column and statistic else None
