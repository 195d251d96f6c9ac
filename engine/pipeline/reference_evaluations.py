"""Finds the earlier evaluations of a store that are the reference of its next one: the latest, or of earlier periods."""

from dataclasses import replace
from typing import NamedTuple

from engine.data import Table
from engine.evaluation.record import Evaluation
from engine.formatting.lists import join_some
from engine.pipeline.context import BuildContext
from engine.pipeline.evaluation_times import find_declared_time, list_earlier_times, restrict_to_model
from engine.spec.resources.evaluation_stores import RollingReference, SamePeriodReference
from engine.store import EvaluationFilter


class ReferenceEvaluations(NamedTuple):
    """The evaluations that a batch is compared with, oldest first, and what is to be said of those that are missing."""

    found: list[Evaluation]
    remark: str


def find_reference_evaluations(
    store: str, declared: RollingReference | SamePeriodReference, batch: Table, model: str, context: BuildContext
) -> ReferenceEvaluations:
    """Return the evaluations that the reference of a store consists of, for a batch and the fingerprint of its model."""
    of_model = restrict_to_model(store, model, context)
    if isinstance(declared, SamePeriodReference):
        return _find_same_periods(store, declared, of_model, context)
    evaluations = context.store.evaluations
    # A batch that is evaluated again must not be compared with itself, nor any batch with one that had no rows.
    other = EvaluationFilter(
        other_dataset_than=batch.fingerprint, model=of_model, earlier_than=find_declared_time(store, context)
    )
    usable = replace(other, usable=True)
    if found := evaluations.history(store, declared.last, metrics=["row_count"], where=usable):
        return ReferenceEvaluations(found, "")
    if evaluations.history(store, 1, metrics=[], where=other):
        return ReferenceEvaluations([], "no earlier evaluation has rows")
    others = of_model is not None and evaluations.history(store, 1, metrics=[], where=replace(other, model=None))
    return ReferenceEvaluations([], f"there is no earlier evaluation{' of this model' if others else ''}")


def _find_same_periods(
    store: str, declared: SamePeriodReference, model: str | None, context: BuildContext
) -> ReferenceEvaluations:
    times = list_earlier_times(store, declared, context)
    found: list[Evaluation] = []
    missing: list[str] = []
    for time in reversed(times):
        where = EvaluationFilter(at=time, model=model, usable=True)
        there = context.store.evaluations.history(store, 1, metrics=["row_count"], where=where)
        found += there
        missing += [] if there else [time.text]
    if not missing:
        return ReferenceEvaluations(found, "")
    absent = f"there is no evaluation{' of this model' if model else ''} with rows for {join_some(missing)}"
    if not found:
        return ReferenceEvaluations([], absent)
    return ReferenceEvaluations(found, f"{len(found)} of the {declared.last} earlier periods exist: {absent}")
