"""Triggers of kind `query_changed`: they fire when the result of a query differs from the last one.

The query is computed only when its result may have changed: after a change of its files or of the values of its
variables, and each time if it reads data whose changes files do not show.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from engine.service.triggers.fire_keys import query_key
from engine.service.triggers.seen_files import DatasetsFound, is_unreadable, make_fire, note_files
from engine.store import Fire, TriggerState


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The digest of a query's result, or why there is none."""

    result: str | None
    problem: str = ""


def needs_answer(state: TriggerState, found: DatasetsFound, inputs: str, *, always: bool) -> bool:
    """Return whether the query must be computed; it is not while files are being written or cannot be read."""
    if found.writing or found.errors:
        return False
    contents = {name: one.content for name, one in found.files.items()}
    same = state.seen.get("answered") == contents and state.seen.get("inputs") == inputs
    return always or not same or state.error is not None


def compare_result(
    state: TriggerState, found: DatasetsFound, inputs: str, answer: QueryAnswer | None, now: datetime
) -> tuple[TriggerState, list[Fire]]:
    """Return the new state of a trigger, and its fire if the result of its query has changed.

    A query that cannot be computed for ten minutes fires once, so that a run reports the problem.

    Parameters
    ----------
    state
        `seen` contains the `files` by dataset, their contents and the `inputs` of the query when it was last
        `answered`, the digest of the `result`, the number of `changes` so far, the moment of the `previous` fire, and
        whether it has fired because it is `unreadable`.
    inputs
        The digest of the inputs of the query besides files: its text, and the values of its variables.
    answer
        None if the query was not computed.
    """
    seen = state.seen
    problem = answer.problem if answer else ""
    if answer is None and not found.errors:  # an error of the query stays until it is computed again
        problem = state.error or ""
    noted = note_files(state, found, now, problem)
    if noted.error is not None:
        if seen.get("unreadable") or not is_unreadable(noted, now):
            return noted, []
        failed = [name for name in found.sources if not found.errors.keys().isdisjoint(found.sources[name])]
        return make_fire(noted, query_key, (seen.get("result"), noted.error), failed, now, unreadable=True)
    if answer is None or answer.result is None:
        return noted, []
    before = seen.get("answered", {})
    contents = {name: one.content for name, one in found.files.items()}
    if seen.get("unreadable"):
        noted = replace(noted, seen={**noted.seen, "unreadable": False})
    result, facts = seen.get("result"), {"answered": contents, "inputs": inputs, "result": answer.result}
    answered = noted if facts.items() <= noted.seen.items() else replace(noted, seen={**noted.seen, **facts})
    if result is None or answer.result == result:
        return answered, []
    differing = {name for name, content in contents.items() if before.get(name) != content}
    changed = [name for name in found.sources if not differing.isdisjoint(found.sources[name])]
    return make_fire(answered, query_key, (result, answer.result), changed, now, unreadable=False)
