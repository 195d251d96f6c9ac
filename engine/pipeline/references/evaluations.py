"""Finds the reference evaluations of a store's next one: the latest, or those of earlier periods."""

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
    """The reference evaluations of a batch, oldest first, and a note on missing ones."""

    found: list[Evaluation]
    remark: str


def find_reference_evaluations(
    store: str, declared: RollingReference | SamePeriodReference, batch: Table, model: str, context: BuildContext
) -> ReferenceEvaluations:
    """Return the reference evaluations of a batch and of the model with this fingerprint.

    Evaluations of the same data count once; otherwise the same rows would count as more evidence.
    """
    of_model = restrict_to_model(store, model, context)
    if isinstance(declared, SamePeriodReference):
        return _find_same_periods(store, declared, of_model, context)
    evaluations = context.store.evaluations
    # A repeated evaluation must not be compared with itself, and no batch with one without rows.
    time = find_declared_time(store, context)
    other = EvaluationFilter(other_dataset_than=batch.fingerprint, model=of_model, earlier_than=time)
    if found := _list_latest(store, declared.last, replace(other, usable=True), context):
        remark = _describe_removed(store, declared.last, len(found), other, context)
        if not remark and len(found) < declared.last:
            remark = f"{len(found)} of the last {declared.last} evaluations exist"
        return ReferenceEvaluations(found, remark)
    if remark := _describe_removed(store, declared.last, 0, other, context):
        return ReferenceEvaluations([], remark)
    if evaluations.history(store, 1, metrics=[], where=other):
        return ReferenceEvaluations([], "no earlier evaluation has rows")
    others = of_model is not None and evaluations.history(store, 1, metrics=[], where=replace(other, model=None))
    return ReferenceEvaluations([], f"there is no earlier evaluation{' of this model' if others else ''}")


def _describe_removed(store: str, last: int, found: int, where: EvaluationFilter, context: BuildContext) -> str:
    """Return a note if a reference has fewer evaluations because files were removed; otherwise an empty text."""
    if found >= last:
        return ""
    latest = context.store.evaluations.history(store, last, metrics=["row_count"], where=where)
    if not any(one.files_removed and one.rows_read for one in latest):
        return ""
    return f"{found} of the last {last} evaluations can be compared with: retention has removed the files of the others"


def _list_latest(store: str, last: int, where: EvaluationFilter, context: BuildContext) -> list[Evaluation]:
    """Return the latest evaluations, without those with the same data as a later one."""
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
    """Return the latest evaluation of each distinct data, in the same order."""
    latest = {one.fingerprints.dataset: one.id for one in evaluations}
    return [one for one in evaluations if latest[one.fingerprints.dataset] == one.id]
