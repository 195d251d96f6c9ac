"""The metrics that an evaluation store shows to people, and to a monitoring system."""

from engine.spec.metrics.names import normalize_metric_name
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec

DEFAULT_METRICS = ("data_drift", "drifted_columns")
"""The metrics that a store displays unless it declares others."""


def list_displayed_metrics(declared: EvaluationStoreSpec) -> list[str]:
    """Return the metrics that a store displays: those of `display:`, or the summary of drift."""
    return list(map(normalize_metric_name, declared.display.metrics)) or list(DEFAULT_METRICS)
