"""Finds evaluations of a store by name or id, by conditions, or as the predecessor of another one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from engine.api.lookup import choose_id, unknown_name
from engine.errors import UsageError
from engine.evaluation.record import Evaluation
from engine.pipeline.context import StateContext
from engine.pipeline.evaluation_times import select_earlier
from engine.store import EvaluationFilter


def choose_evaluation(store: str, name: str | None, context: StateContext) -> str:
    """Return the id of the evaluation that a name or a part of an id identifies; by default that of the newest."""
    evaluations = context.store.evaluations
    found = evaluations.find_ids(store, name) if name is None or isinstance(name, str) else []
    everything = EvaluationFilter(any_origin=True)
    if not found and (name is None or not evaluations.count(store, everything)):
        raise UsageError(f"evaluation store {store!r} has no evaluations yet: make one with `engine run`")
    return choose_id("evaluation", name or "", found, lambda: evaluations.list_names(store))


def select_evaluations(
    store: str,
    names: Sequence[str],
    labels: Mapping[str, str] | None,
    before: datetime | None,
    origin: str | None,
    context: StateContext,
) -> list[Evaluation]:
    """Return the evaluations of a store that meet all given conditions; see `EvaluationStore.select`."""
    called = {_choose_name(store, name, context) for name in names} if names else None
    moment = before.replace(tzinfo=UTC) if before and before.tzinfo is None else before
    everything = select_origin(origin, superseded=True)
    where = replace(everything, called=called, moment_before=moment)
    found = context.store.evaluations.history(store, metrics=[], where=where)
    meant = [one for one in found if one.origin == origin or one.id in (called or ())]
    wanted = labels or {}
    chosen = [one for one in meant if wanted.items() <= one.labels.items()]
    if wanted and not chosen:
        _require_labels(wanted, context.store.evaluations.history(store, metrics=[], where=everything))
    return chosen


def select_origin(origin: str | None, *, superseded: bool) -> EvaluationFilter:
    """Return the filter for evaluations pulled from a deployment; with None, for those of every origin."""
    return EvaluationFilter(superseded=superseded, origin=origin, any_origin=origin is None)


def load_previous(store: str, id_: str, context: StateContext) -> Evaluation:
    """Return the evaluation before another one, of the same model unless the history continues across models."""
    evaluations = context.store.evaluations
    chosen = evaluations.get(id_)
    earlier = select_earlier(chosen, context)
    found = evaluations.find_newest(store, earlier)
    if found is None:
        of_others = earlier.model and evaluations.find_newest(store, replace(earlier, model=None))
        whose = " of the same model" if of_others else ""
        raise UsageError(
            f"there is no evaluation{whose} before {chosen.name!r}; give the reference, such as dataset:NAME"
        )
    return found


def _choose_name(store: str, name: str, context: StateContext) -> str:
    """Return the name if evaluations have it, else the id of the evaluation that it identifies."""
    evaluations = context.store.evaluations
    named = EvaluationFilter(name=name, superseded=True, any_origin=True)
    if evaluations.history(store, 1, metrics=[], where=named):
        return name
    found = evaluations.find_ids(store, name)
    return choose_id("evaluation", name, found, lambda: evaluations.list_names(store))


def _require_labels(labels: Mapping[str, str], known: Sequence[Evaluation]) -> None:
    """Raise a UsageError if there are evaluations, but none with a given label or value."""
    for key, value in labels.items():
        values = [one.labels[key] for one in known if key in one.labels]
        if known and not values:
            raise unknown_name("label", key, [label for one in known for label in one.labels])
        if known and value not in values:
            raise unknown_name(f"evaluation with label {key} =", value, values)
