"""Reads the schema of a store's reference without rows, and describes how a batch differs from it."""

import polars as pl

from engine import drift, models
from engine.data import Table
from engine.pipeline.context import BuildContext
from engine.pipeline.evaluation_times import find_declared_time
from engine.pipeline.models import find_active_version
from engine.spec.resources.evaluation_stores import (
    DatasetReference,
    EvaluationReference,
    RollingReference,
    SamePeriodReference,
)
from engine.spec.resources.models import TrainModel
from engine.store import EvaluationFilter


def read_reference_schema(name: str, context: BuildContext) -> dict[str, pl.DataType]:
    """Return the columns of a store's reference with their types, without reading rows; empty if not yet known."""
    context = context.without_drill()
    spec = context.project.evaluation_stores[name]
    declared = spec.reference
    if isinstance(declared, DatasetReference):
        return dict(context.datasets.open(declared.dataset).frame.collect_schema())
    if isinstance(declared, EvaluationReference | RollingReference | SamePeriodReference):
        time = find_declared_time(name, context)
        evaluation = (
            context.store.evaluations.find_by_name(name, declared.name, time)
            if isinstance(declared, EvaluationReference)
            else context.store.evaluations.find_newest(name, EvaluationFilter(earlier_than=time))
        )
        sample = context.store.evaluations.folder_of(evaluation.id) / "sample.parquet" if evaluation else None
        try:
            return dict(pl.read_parquet_schema(sample)) if sample and sample.exists() else {}
        except (OSError, pl.exceptions.PolarsError):  # reported when the evaluation's statistics are loaded
            return {}
    model = context.project.models[spec.model] if spec.model else None
    if not isinstance(model, TrainModel):
        return {}
    active, _ = find_active_version(spec.model, context) if spec.model else (None, None)
    if active is not None:
        held_out = active.folder / models.TEST_ROWS
        kept = pl.read_parquet_schema(held_out) if held_out.is_file() else {}
        return {column: dtype for column, dtype in kept.items() if column != model.target}
    schema = context.datasets.open(model.dataset).frame.collect_schema()
    features = model.features.include or [column for column in schema if column != model.target]
    return {column: schema[column] for column in features if column in schema and column not in model.features.exclude}


def describe_differences(name: str, batch: Table, context: BuildContext) -> list[str]:
    """Return the differences between the schemas of a batch and its reference: missing, new or changed columns.

    A text column of a CSV file without values in its first rows has no known type and is not mentioned.
    """
    spec = context.project.evaluation_stores[name]
    reference = read_reference_schema(name, context)
    schema = batch.frame.collect_schema()
    side = f"dataset {batch.name!r}"
    left_out = {*spec.drift.columns.exclude, batch.entity}
    compared = {
        column: dtype
        for column, dtype in reference.items()
        if column not in left_out and (column in batch.roles or drift.infer_role(dtype) is not None)
    }
    gone = [
        f"{side} has no column {column!r}, which the reference has: it is not compared"
        for column in compared
        if column not in schema
    ]
    known = {
        column: drift.KnownColumn(drift.Role.CATEGORICAL, drift.known_type(dtype)) for column, dtype in compared.items()
    }
    types = {column: drift.known_type(dtype) for column, dtype in schema.items()}
    changed = drift.find_type_changes(types, known, side=side)
    texts = [column for column in changed if types[column] == "text"]
    if texts:
        from engine.drift.reading.csv_files import INFER_ROWS

        first = batch.frame.select(texts).head(INFER_ROWS).collect()
        changed = {column: text for column, text in changed.items() if column not in texts or first[column].count()}
    new = [
        f"the reference has no column {column!r}: it is not compared"
        for column in schema
        if reference and spec.model is None and column not in {*reference, *left_out}
    ]
    return [*gone, *changed.values(), *new]
