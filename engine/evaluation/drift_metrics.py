"""The drift of a batch as metrics: of the whole, of its columns, and of columns absent from the reference."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Iterator
from dataclasses import replace

from engine import drift
from engine.evaluation.record import MetricValue
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.metrics.catalogue import METRICS
from engine.spec.metrics.names import MetricName


def list_data_drift_metrics(drift_model: drift.DomainClassifierResult, *, data_present: bool) -> dict[str, MetricValue]:
    """Return the metrics of the classifier that distinguishes rows of the batch from rows of the reference.

    `data_present` means that both sides have rows and columns: then, if there are no numbers, there are only too few
    rows.
    """
    reason = drift_model.reason
    significant = drift_model.significant
    metrics = {
        "data_drift": MetricValue(
            drift_model.accuracy, drift_model.low, drift_model.high, drift_model.p_value, reason=reason
        ),
        "data_drift_low": MetricValue(drift_model.accuracy_low, reason=reason),
        "data_drift_auc": MetricValue(drift_model.auc, reason=reason),
        "data_drift_p": MetricValue(drift_model.p_value, reason=reason),
        "data_drift_significant": MetricValue(None if significant is None else float(significant), reason=reason),
    }
    return {
        name: replace(metric, counts_as_ok=metric.value is None and data_present) for name, metric in metrics.items()
    }


def list_drifted_metrics(compared: drift.Drift, nothing: str | None) -> dict[str, MetricValue]:
    """Return the number of drifted columns, and their share; without values if no column has a verdict.

    `nothing` is the reason if nothing was compared.
    """
    columns = compared.columns.values()
    if nothing or all(column.drift is None for column in columns):
        reason = nothing or f"no column has a verdict: {next(column.reasons['drift'] for column in columns)}"
        few = not nothing and all(column.undecidable for column in columns)
        return dict.fromkeys(("drifted_columns", "drifted_share"), MetricValue(None, reason=reason, counts_as_ok=few))
    return {
        "drifted_columns": MetricValue(float(compared.drifted_columns)),
        "drifted_share": MetricValue(compared.drifted_share),
    }


def list_column_drift_metrics(compared: drift.Drift) -> dict[str, MetricValue]:
    """Return the metrics `statistic.column` of every column."""
    # the end of a name, ".column", is formatted once per column, not once per metric
    columns = [(str(MetricName("", name)), column) for name, column in compared.columns.items()]
    metrics = {
        f"{statistic}{of_column}": metric
        for of_column, column in columns
        for statistic, metric in list_statistic_metrics(column)
    }
    return metrics | {f"type_changed{of_column}": _type_change_metric(column) for of_column, column in columns}


def list_absent_column_metrics(reference: Snapshot) -> dict[str, MetricValue]:
    """Return the metrics of the columns that the reference lacks: none has a value."""
    return {
        str(MetricName(metric.name, name)): MetricValue(None, reason=f"the reference does not have it: {one.reason}")
        for name, one in reference.absent.items()
        for metric in METRICS
        if metric.scope == "store" and metric.member == "column" and one.role in metric.roles
    }


def _type_change_metric(column: drift.ColumnDrift) -> MetricValue:
    """Return 1 if the column's type family changed, with the reason in words; else 0, or None if it is gone."""
    if column.type_change or column.measured:
        return MetricValue(float(bool(column.type_change)), reason=column.type_change or None)
    return MetricValue(None, reason=column.reasons["drift"])


def list_statistic_metrics(column: drift.ColumnDrift) -> Iterator[tuple[str, MetricValue]]:
    """Yield each statistic of one column as a metric."""
    for name, value in (("drift", column.drift), ("drift_low", column.drift_low), ("drift_p", column.drift_p)):
        p_value = column.drift_p if name == "drift" else None
        reason = column.reasons.get(name)
        yield name, MetricValue(value, p_value=p_value, reason=reason, counts_as_ok=column.undecidable)
    for statistic, value in column.statistics.items():
        low, high = column.bounds.get(statistic, (None, None))
        yield statistic, MetricValue(value, low, high, reason=column.reasons.get(statistic))
