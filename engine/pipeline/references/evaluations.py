"""Finds the earlier evaluations that are the reference of a store's next one: the latest, or of earlier periods."""

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
    """Return the evaluations that are the reference of a batch and of the model with this fingerprint.

    Those of the same data count once: counted twice, the same rows would pass for more evidence than they are.
    """
    of_model = restrict_to_model(store, model, context)
    if isinstance(declared, SamePeriodReference):
        return _find_same_periods(store, declared, of_model, context)
    evaluations = context.store.evaluations
    # A batch that is evaluated again must not be compared with itself, nor any batch with one that had no rows.
    time = find_declared_time(store, context)
    other = EvaluationFilter(other_dataset_than=batch.fingerprint, model=of_model, earlier_than=time)
    if found := _list_latest(store, declared.last, replace(other, usable=True), context):
        remark = _tell_removed(store, declared.last, len(found), other, context)
        if not remark and len(found) < declared.last:
            remark = f"{len(found)} of the last {declared.last} evaluations exist"
        return ReferenceEvaluations(found, remark)
    if remark := _tell_removed(store, declared.last, 0, other, context):
        return ReferenceEvaluations([], remark)
    if evaluations.history(store, 1, metrics=[], where=other):
        return ReferenceEvaluations([], "no earlier evaluation has rows")
    others = of_model is not None and evaluations.history(store, 1, metrics=[], where=replace(other, model=None))
    return ReferenceEvaluations([], f"there is no earlier evaluation{' of this model' if others else ''}")


def _tell_removed(store: str, last: int, found: int, where: EvaluationFilter, context: BuildContext) -> str:
    """Return what to say if a reference of the last evaluations is short because files were removed; else nothing."""
    if found >= last:
        return ""
    latest = context.store.evaluations.history(store, last, metrics=["row_count"], where=where)
    if not any(one.files_removed and one.rows_read for one in latest):
        return ""
    return f"{found} of the last {last} evaluations can be compared with: retention has removed the files of the others"


def _list_latest(store: str, last: int, where: EvaluationFilter, context: BuildContext) -> list[Evaluation]:
    """Return the latest evaluations; those with the same data as a later one are passed over."""
    most = last
    while True:
        found = context.store.evaluations.history(store, most, metrics=["row_count"], where=where)
        kept = _drop_repeated(found)
        if len(kept) >= last or len(found) < most:
            return kept[-last:]
        most *= 2


def _find_same_periods(
    store: str, declared: SamePeriodReference, model: str | None, context: BuildContext
) -> ReferenceEvaluations:
    times = list_earlier_times(store, declared, context)
    found: list[Evaluation] = []
    missing: list[str] = []
    removed: list[str] = []
    for time in reversed(times):
        where = EvaluationFilter(at=time, model=model)
        there = context.store.evaluations.history(store, 1, metrics=["row_count"], where=replace(where, usable=True))
        found += there
        if not there:
            without = context.store.evaluations.history(store, 1, metrics=[], where=where)
            (removed if without and without[0].files_removed else missing).append(time.text)
    reasons = [
        f"there is no evaluation{' of this model' if model else ''} with rows for {join_some(missing)}" * bool(missing),
        f"retention has removed the files of {join_some(removed)}" * bool(removed),
    ]
    absent = " and ".join(filter(None, reasons))
    if not found:
        return ReferenceEvaluations([], absent)
    remarks = [f"{len(found)} of the {declared.last} earlier periods exist: {absent}"] if absent else []
    distinct = _drop_repeated(found)
    if repeated := len(found) - len(distinct):
        remarks.append(f"{repeated} of the {len(found)} earlier periods have the same data as others, which count once")
    return ReferenceEvaluations(distinct, "; ".join(remarks))


def _drop_repeated(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Return, in their order, the latest evaluation of each data."""
    latest = {one.fingerprints.dataset: one.id for one in evaluations}
    return [one for one in evaluations if latest[one.fingerprints.dataset] == one.id]
