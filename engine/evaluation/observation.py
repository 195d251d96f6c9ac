"""Measurement of one side of a comparison: scores of its rows, profiles of columns and predictions, performance.

A side is measured independently of the other side, so a reference is measured once and kept as a snapshot.
"""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from engine import drift
from engine.data import Table, explain_read_errors
from engine.data.csv_faults import suggest_separator
from engine.errors import DataError
from engine.evaluation.record import MetricValue
from engine.evaluation.snapshot import Snapshot
from engine.formatting.hints import suggest_name
from engine.models import FittedModel, Performance, measure_performance, score_frame
from engine.spec.resources.models import CostMatrix


@dataclass(frozen=True, slots=True)
class Observation:
    """One side, measured: its snapshot, and what is kept for this evaluation only.

    `scored` holds the predictions of every row, with target and entity where the dataset has them; None without a
    model.
    """

    rows: int
    snapshot: Snapshot
    scored: pl.DataFrame | None = None
    performance_detail: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def snapshot_side(
    table: Table,
    roles: Mapping[str, drift.Role],
    left_out: Mapping[str, str],
    *,
    model: FittedModel | None,
    cost_matrix: CostMatrix | None,
    sample_rows: int,
    seed: int,
    against: Snapshot | None = None,
) -> Observation:
    """Measure a table as one side of a comparison.

    The table is read several times, so its reads should be cheap: see `engine.data.materialise`.

    Parameters
    ----------
    roles, left_out
        The columns that are compared, and the reasons why others are not. Both sides use those of the reference.
    model, cost_matrix
        The model that scores the rows, and the gain of a row for each combination of true and predicted class; None
        for a comparison without a model.
    sample_rows
        The largest number of rows to keep for the drift model.
    against
        The reference that this side will be compared with. A column with too many distinct values to be kept whole is
        then profiled at the values that the comparison needs.

    Raises
    ------
    DataError, ModelError
        The table cannot be read, or lacks a column that the reference or the model needs.
    """
    entity = table.entity
    kept = [*roles, *([entity] if entity and entity not in roles else [])]
    with explain_read_errors(table), _add_dataset_name(table):
        _require_dataset_columns(roles, table, "the reference has" if model is None else "the model needs")
        columns = drift.profile(table.frame, roles, entity=entity, against=against.columns if against else None)
        sample = drift.sample(table.frame, kept, sample_rows, entity=entity, seed=seed)
        if model is None:
            return Observation(columns.rows, Snapshot(columns, dict(left_out), sample, entity, None, {}))
        _require_dataset_columns(model.predictor.columns, table, f"model {model.name!r} needs")
        available = table.frame.collect_schema().names()
        extra = [name for name in (model.target, entity) if name and name in available]
        scored = score_frame(model, table.frame, list(dict.fromkeys(extra)))
    measured = measure_performance(model, scored, cost_matrix)
    snapshot = Snapshot(
        columns=columns,
        left_out=dict(left_out),
        sample=sample,
        entity=entity,
        predictions=_profile_predictions(scored, model, entity, against.predictions if against else None),
        performance=_performance_metrics(measured),
    )
    return Observation(columns.rows, snapshot, scored, measured.detail, (*model.notes, *measured.notes))


@contextmanager
def _add_dataset_name(table: Table) -> Iterator[None]:
    """Put the name of the dataset before the message of a DataError that does not name it yet."""
    try:
        yield
    except DataError as error:
        if str(error).startswith("dataset "):
            raise
        raise DataError(f"dataset {table.name!r}: {error}") from error


def _require_dataset_columns(columns: Iterable[str], table: Table, needed_by: str) -> None:
    """Raise a DataError unless the table has the columns; `needed_by` completes "which …" in its message."""
    available = table.frame.collect_schema().names()
    if absent := [column for column in columns if column not in available]:
        others = f", nor {', '.join(map(repr, absent[1:10]))}" if absent[1:] else ""
        hint = suggest_separator(available) or suggest_name(absent[0], available)
        raise DataError(f"dataset {table.name!r} has no column {absent[0]!r}{others}, which {needed_by}{hint}")


def _profile_predictions(
    scored: pl.DataFrame, model: FittedModel, entity: str | None, against: drift.Profile | None
) -> drift.Profile:
    """Profile the predictions: the class or the value, and the probability of the positive class where there is one."""
    predictions = scored.select("prediction", *([entity] if entity else []))
    roles = {"prediction": drift.Role.NUMERICAL if model.task == "regression" else drift.Role.CATEGORICAL}
    if model.task != "regression":
        predictions = predictions.with_columns(pl.col("prediction").cast(pl.String))
    if model.positive is not None:
        column = f"probability_{model.classes.index(model.positive)}"
        if column in scored.columns:
            predictions = predictions.with_columns(scored[column].alias("probability"))
            roles["probability"] = drift.Role.NUMERICAL
    return drift.profile(predictions, roles, entity=entity, against=against)


def _performance_metrics(measured: Performance) -> dict[str, MetricValue]:
    """Return the performance as metric values, with `labelled_share`."""
    share, unlabelled = measured.labelled_share, measured.unlabelled
    return {
        "labelled_share": MetricValue(share, reason=None if share is not None else "there are no rows"),
        **{
            name: MetricValue(value, reason=measured.reasons.get(name), counts_as_ok=value is None and unlabelled)
            for name, value in measured.metrics.items()
        },
    }
