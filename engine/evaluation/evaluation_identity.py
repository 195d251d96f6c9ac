"""The identity of an evaluation: everything except its measurements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine import __version__, drift
from engine.evaluation.record import Evaluation, EvaluationTime, Fingerprints, MetricValue


@dataclass(frozen=True, slots=True)
class EvaluationIdentity:
    """The part of an evaluation that is not measured: its names, fingerprints, time and origin."""

    id: str
    store: str
    name: str
    labels: Mapping[str, str]
    created: datetime
    fingerprints: Fingerprints
    run: str | None = None
    model: str | None = None
    model_version: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    time: EvaluationTime | None = None
    same_data_as: str | None = None
    release: str | None = None
    revision: int | None = None


def measure_repetition(identity: EvaluationIdentity) -> dict[str, MetricValue]:
    """Return, as a metric, whether the batch has the same data as that of another time; nothing without a time."""
    return {} if identity.time is None else {"repeated_data": MetricValue(float(identity.same_data_as is not None))}


def build_empty_evaluation(identity: EvaluationIdentity) -> Evaluation:
    """Return an evaluation without metrics, for the plan of a batch to be evaluated."""
    return Evaluation(
        **{name: getattr(identity, name) for name in EvaluationIdentity.__dataclass_fields__},
        engine_version=__version__,
        kernel_version=drift.KERNEL_VERSION,
        rows_read=0,
        rows_used=0,
        reference_rows=0,
        metrics={},
    )
