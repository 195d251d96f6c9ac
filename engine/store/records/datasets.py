"""The records of datasets: their measurements, and the rows that `materialize` has written."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from engine.evaluation.record import MetricValue


class DatasetMeasurement(NamedTuple):
    """The metrics of one measurement of a dataset, by a run or outside of runs."""

    created: datetime
    run: str | None
    metrics: Mapping[str, MetricValue]


def unite_measurements(measured: Sequence[DatasetMeasurement]) -> DatasetMeasurement:
    """Return measurements of the same data, oldest first, as one: the first, with further metrics of the later ones."""
    metrics = {name: value for one in reversed(measured) for name, value in one.metrics.items()}
    return measured[0]._replace(metrics=metrics)


class KeptRows(NamedTuple):
    """The rows of a dataset that `materialize` has written.

    Attributes
    ----------
    made_of
        The digest of their inputs: the function's source and arguments, or the query and its datasets.
    content
        The digest of the written bytes of a file, or of the rows of a table.
    fingerprint
        The fingerprint of the dataset.
    rows
        The number of rows.
    facts
        The inputs of the digest `made_of`, to explain a change.
    """

    made_of: str
    content: str
    fingerprint: str
    rows: int
    facts: Mapping[str, Any]
