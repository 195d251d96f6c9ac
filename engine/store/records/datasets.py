"""The records of datasets: their measurements, and the rows that `materialize` has written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from engine.evaluation.record import MetricValue


class DatasetMeasurement(NamedTuple):
    """The metrics of a dataset as they were measured once, by a run or outside of any."""

    created: datetime
    run: str | None
    metrics: Mapping[str, MetricValue]


def unite_measurements(measured: Sequence[DatasetMeasurement]) -> DatasetMeasurement:
    """Return measurements of the same data, oldest first, as one: that of the first, and what the later ones add."""
    metrics = {name: value for one in reversed(measured) for name, value in one.metrics.items()}
    return measured[0]._replace(metrics=metrics)


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows of a dataset that `materialize` has written.

    Attributes
    ----------
    made_of
        Digest of what they depend on: the function's source and arguments, or the query and its inputs.
    content
        Digest of what was written: of the bytes of a file, or of the rows of a table.
    fingerprint
        The fingerprint of the dataset.
    rows
        Their number.
    facts
        What `made_of` is made of, to explain a change.
    """

    made_of: str
    content: str
    fingerprint: str
    rows: int
    facts: Mapping[str, Any]
