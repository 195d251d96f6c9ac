"""Summarizes the changes since the last evaluation that was OK, for messages of alerts.

It compares the facts behind the fingerprints of both evaluations, as `engine plan` does.
"""

from collections.abc import Sequence

from engine.evaluation.record import Evaluation
from engine.formatting.control_characters import single_line
from engine.pipeline.actions import Change
from engine.pipeline.changes import find_changes, list_evaluation_places
from engine.pipeline.context import BuildContext
from engine.spec.resources.checks import select_active_checks
from engine.store import EvaluationFilter

SHOWN_CHANGES = 10
"""Most changes of one store that are listed."""

_ORDER_OF_KINDS = ("model", "reference", "spec", "code", "version", "variable", "data")


def summarize_changes(evaluations: Sequence[Evaluation], context: BuildContext) -> str:
    """Return the changes of each evaluation since the last one of its store whose checks were all OK.

    If no checks of the store were applied yet, that is the previous evaluation. Without evaluations the text is empty.
    """
    return "\n".join(_summarize_store(evaluation, context) for evaluation in evaluations)


def _summarize_store(evaluation: Evaluation, context: BuildContext) -> str:
    name = evaluation.store
    earlier = _find_last_ok(evaluation, context)
    if earlier is None:
        judged = select_active_checks(context.project.evaluation_stores[name].checks)
        return f"{name}: there is no earlier evaluation{' whose checks were OK' if judged else ''} to compare with"
    places = list_evaluation_places(name, context.project)
    found = find_changes(earlier.facts, evaluation.facts, places, context.project)
    if earlier.engine_version != evaluation.engine_version:
        versions = f"version of engine {earlier.engine_version} → {evaluation.engine_version}"
        found.append(Change(kind="version", what="engine", says=versions))
    found.sort(key=lambda change: _ORDER_OF_KINDS.index(change.kind))
    only = "nothing but the data" if all(change.kind in ("data", "variable") for change in found) else ""
    since = f"{name}, changed since {earlier.name}: {only}".rstrip()
    lines = [_format_line(change) for change in found[:SHOWN_CHANGES]]
    more = [f"- … and {len(found) - SHOWN_CHANGES} more"] if len(found) > SHOWN_CHANGES else []
    return "\n".join([since if found else f"{name}: nothing has changed since {earlier.name}", *lines, *more])


def _format_line(change: Change) -> str:
    place = f" ({change.position.file}:{change.position.line})" if change.position else ""
    return single_line(f"- {change.says}{place}", limit=300)


def _find_last_ok(evaluation: Evaluation, context: BuildContext) -> Evaluation | None:
    """Return the newest earlier evaluation of the store whose checks were all OK when they were last applied."""
    name, store = evaluation.store, context.store
    if not store.checks.have_judged(name, other_than=evaluation.id, origin=evaluation.origin):
        return store.evaluations.find_newest(name, EvaluationFilter(before=evaluation.id, origin=evaluation.origin))
    found = store.checks.find_last_ok(name, evaluation.id, evaluation.origin)
    return None if found is None else store.evaluations.get(found)
