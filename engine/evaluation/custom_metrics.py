"""Custom metrics: a user's function of a lazy frame returns a number, or None for no value.

If the function raises, the metric is failed, with the reason, so that its checks are ERROR.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import polars as pl

from engine.data import load_function
from engine.errors import DataError
from engine.evaluation.record import MetricValue
from engine.spec.code_folder import CodeFolder
from engine.spec.resources.checks import PythonMetric


def compute_custom_metrics(
    declared: Mapping[str, PythonMetric], frame: pl.LazyFrame, code: CodeFolder, redact: Callable[[str], str]
) -> dict[str, MetricValue]:
    """Compute each declared metric on a frame.

    Parameters
    ----------
    code
        The folder of the functions' modules.
    redact
        Masks secrets in the reasons, which quote the error messages of the functions.
    """
    found = {name: _compute_custom_metric(metric, frame, code) for name, metric in declared.items()}
    return {name: replace(value, reason=value.reason and redact(value.reason)) for name, value in found.items()}


def _compute_custom_metric(metric: PythonMetric, frame: pl.LazyFrame, code: CodeFolder) -> MetricValue:
    """Call the function of one metric and check its result."""
    try:
        returned = load_function(code, metric.function)(frame, **metric.arguments)
    except DataError as error:
        return MetricValue(None, reason=str(error), failed=True)
    if returned is None:
        return MetricValue(None, reason=f"{metric.function} returned None")
    try:
        value = float(returned)
    except (TypeError, ValueError):
        reason = f"{metric.function} returned {type(returned).__name__}; a metric must return a number or None"
        return MetricValue(None, reason=reason, failed=True)
    except OverflowError as error:
        return MetricValue(None, reason=f"{metric.function}: {error}", failed=True)
    if math.isnan(value):
        return MetricValue(None, reason=f"{metric.function} returned NaN")
    return MetricValue(value)
