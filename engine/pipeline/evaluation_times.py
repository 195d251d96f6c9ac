"""The time of the next evaluation of a store, and the part of the store's history before it."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime

from engine.evaluation.record import Evaluation, EvaluationTime
from engine.pipeline.context import StateContext
from engine.spec.resources.evaluation_stores import SamePeriodReference, TimeWindow
from engine.spec.times.declared_times import find_moment, find_zone, format_declared_time, go_back
from engine.store import EvaluationFilter

DeclaredTime = date | datetime | TimeWindow


def find_declared_time(store: str, context: StateContext) -> EvaluationTime | None:
    """Return the time of the next evaluation of a store; None if none is declared."""
    declared = context.project.evaluation_stores[store].evaluation.time
    return None if declared is None else _read_time(declared, context)


def name_next_evaluation(store: str, context: StateContext) -> str | None:
    """Return the name of the next evaluation of a store: the declared one, or its time; None if it has neither."""
    time = find_declared_time(store, context)
    return context.project.evaluation_stores[store].evaluation.name or (time.text if time else None)


def list_earlier_times(store: str, reference: SamePeriodReference, context: StateContext) -> list[EvaluationTime]:
    """Return the times of the earlier periods with which a store's next evaluation is compared, latest first."""
    declared = context.project.evaluation_stores[store].evaluation.time
    zone, every = find_zone(context.project.resources), reference.every
    earlier: list[DeclaredTime] = []
    with suppress(OverflowError, ValueError):  # there is no year before the first
        for count in range(1, reference.last + 1):
            if isinstance(declared, TimeWindow):
                start, end = (go_back(one, every, count, zone) for one in (declared.start, declared.end))
                earlier.append(TimeWindow(start=start, end=end))
            elif declared is not None:
                earlier.append(go_back(declared, every, count, zone))
    return [_read_time(one, context) for one in earlier]


def _read_time(declared: DeclaredTime, context: StateContext) -> EvaluationTime:
    zone = find_zone(context.project.resources)
    if not isinstance(declared, TimeWindow):
        return EvaluationTime(find_moment(declared, zone), None, format_declared_time(declared))
    start, end = declared.start, declared.end
    text = f"{format_declared_time(start)} to {format_declared_time(end)}"
    return EvaluationTime(find_moment(start, zone), find_moment(end, zone), text)


def has_model_history(store: str, context: StateContext) -> bool:
    """Return whether the history of a store restarts with another model."""
    spec = context.project.evaluation_stores[store]
    return spec.model is not None and not spec.continues_across_models


def restrict_to_model(store: str, fingerprint: str, context: StateContext) -> str | None:
    """Return the model to which the history of a store is restricted; None if it spans models."""
    return None if context.project.evaluation_stores[store].continues_across_models else fingerprint


def select_earlier(evaluation: Evaluation, context: StateContext) -> EvaluationFilter:
    """Return a filter for the earlier evaluations in the history of an evaluation."""
    return EvaluationFilter(
        before=evaluation.id,
        model=restrict_to_model(evaluation.store, evaluation.fingerprints.model, context),
        other_dataset_than=None if evaluation.time else evaluation.fingerprints.dataset,
        origin=evaluation.origin,
    )


def is_of_other_batch(earlier: Evaluation, later: Evaluation) -> bool:
    """Return whether an earlier evaluation in the history is of another batch, so that changes can be measured from it.

    Without a declared time, another evaluation of the same batch, such as with other settings, does not count: there is
    no change from it, so an alarm would end.
    """
    return later.time is not None or earlier.fingerprints.dataset != later.fingerprints.dataset


def count_same_data_once(history: Iterable[Evaluation]) -> list[Evaluation]:
    """Return a history, oldest first, with only the last of consecutive evaluations of unchanged data."""
    kept: list[Evaluation] = []
    for one in history:
        if kept and not is_of_other_batch(kept[-1], one):
            kept.pop()
        kept.append(one)
    return kept
