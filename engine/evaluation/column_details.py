"""Extract the details of columns that an evaluation stores besides metrics from their comparison."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from engine import drift
from engine.evaluation.detail import ColumnDetail, Histogram
from engine.evaluation.drift_metrics import list_statistic_metrics


def describe_columns(
    compared: drift.Drift, reference: drift.Profile, batch: drift.Profile, confidence: float, tests: int
) -> dict[str, ColumnDetail]:
    """Return the details of every column."""
    detectable = drift.detectable_drifts(reference, batch, confidence, tests)
    return {
        name: ColumnDetail(
            role="numerical" if column.role is drift.Role.NUMERICAL else "categorical",
            significant=column.significant,
            histogram=_build_histogram(column.histogram),
            detectable=None if column.drift is None else _infinite_if_none(detectable.get(name)),
        )
        for name, column in compared.columns.items()
    }


def _build_histogram(drawn: Mapping[str, Sequence[Any]]) -> Histogram:
    return Histogram(**{name: tuple(part) for name, part in drawn.items()})


def _infinite_if_none(detectable: float | None) -> float:
    return inf if detectable is None else detectable


def keep_statistics(detail: ColumnDetail, column: drift.ColumnDrift) -> ColumnDetail:
    """Return a detail with the statistics of its column that are not metrics of the evaluation."""
    metrics = dict(list_statistic_metrics(column))
    return replace(
        detail,
        statistics={name: metric.value for name, metric in metrics.items()},
        reasons={name: metric.reason for name, metric in metrics.items() if metric.reason is not None},
    )
