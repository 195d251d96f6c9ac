"""Resolves names and ids; the error for an unknown one suggests a similar name, or lists the known ones."""

from collections.abc import Callable, Sequence

from engine.errors import UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_some
from engine.pipeline.context import StateContext
from engine.spec import ProjectSpec
from engine.spec.resources.datasets import AnyDataset
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec
from engine.store import shorten_id


def unknown_name(what: str, name: str, known: Sequence[str]) -> UsageError:
    """Return the error for an unknown name, with the most similar name or else the first known names as help."""
    # in Python, `name` may be anything
    return UsageError(f"there is no {what} {name!r}{suggest_name(str(name), list(dict.fromkeys(known)))}")


def choose_id(what: str, wanted: str, matching: Sequence[str], list_known: Callable[[], Sequence[str]]) -> str:
    """Return the id that `wanted` identifies, if it is the only one in `matching`.

    `list_known` returns the names to suggest; it is called only if there is no match.

    Raises
    ------
    UsageError
        There is no matching id, or there are several.
    """
    if len(matching) == 1:
        return matching[0]
    if matching:
        shown = join_some(shorten_id(id_) for id_ in matching)
        raise UsageError(f"the ids of several {what}s begin with {wanted!r}: {shown}; write more of the id")
    raise unknown_name(what, wanted, list_known())


def check_last(last: int | None) -> int | None:
    """Return `last`, the number of newest rows to return; raise UsageError if it is not None or a number from 0."""
    if last is not None and (not isinstance(last, int) or last < 0):
        raise UsageError(f"last = {last!r} is not possible: it is the number of the newest rows to return, or None")
    return last


def require_store(name: str, spec: ProjectSpec) -> None:
    """Raise a UsageError unless a spec has an evaluation store of this name."""
    stores = list(spec.evaluation_stores)
    if name in stores:
        return
    if stores and name in spec.datasets:
        raise UsageError(f"{name!r} is a dataset, but an evaluation store is needed: {', '.join(stores)}")
    raise unknown_name("evaluation store", name, stores)


def find_target(name: str, spec: ProjectSpec) -> EvaluationStoreSpec | AnyDataset:
    """Return the declaration of an evaluation store or a dataset; raise UsageError if there is neither."""
    targets = {**spec.datasets, **spec.evaluation_stores}
    if name not in targets:
        raise unknown_name("evaluation store or dataset", name, [*spec.evaluation_stores, *spec.datasets])
    return targets[name]


def require_check(target: str, check: str, spec: ProjectSpec) -> None:
    """Raise a UsageError unless a store or dataset has a check of this name."""
    if check not in (known := find_target(target, spec).checks):
        raise UsageError(f"{target} has no check {check!r}{suggest_name(str(check), list(known))}")


def choose_run(id_: str, context: StateContext) -> str:
    """Return the id of the run that a text identifies; raise UsageError if there is none, or several."""
    return choose_id("run", id_, context.store.runs.find_ids(id_), context.store.runs.list_short_ids)
