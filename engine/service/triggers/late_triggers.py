"""Checks in a project's state whether `engine serve` evaluates its triggers in time."""

from datetime import datetime, timedelta

from engine.formatting.lists import join_some
from engine.formatting.moments import format_minute
from engine.service.triggers.schedule import list_next_times
from engine.spec import ProjectSpec
from engine.store import Store
from engine.store.locks import SERVER_LOCK

LATE = timedelta(minutes=1)
"""A due trigger counts as late after this time; engine serve evaluates triggers every second."""


def describe_late_triggers(project: ProjectSpec, store: Store, now: datetime) -> list[str]:
    """Return sentences about triggers that engine serve does not evaluate or evaluates late; empty if all is well."""
    triggers = [(name, one) for name, scenario in project.scenarios.items() for one in scenario.triggers]
    if not triggers:
        return []
    states = {(state.scenario, state.trigger): state for state in store.fires.list_states()}
    seen = max((state.evaluated_until for state in states.values()), default=None)
    if not store.locks.is_held(SERVER_LOCK):
        when = f"they were last checked on {format_minute(seen)}" if seen else "they were never checked"
        return [f"engine serve is not running, so no trigger starts a run: {when}"]
    unseen, late = [], []
    for scenario, trigger in triggers:
        state = states.get((scenario, trigger.name))
        if state is None:
            unseen += [f"{scenario}: {trigger.name}"] * trigger.active
            continue
        due = list_next_times(project, scenario, trigger.name, state, state.evaluated_until, 1)
        if due and due[0] < now - LATE:
            late.append(f"{scenario}: {trigger.name} was due on {format_minute(due[0])}")
    sentences = [f"engine serve runs, but has not seen {join_some(unseen)} yet"] * bool(unseen)
    return [*sentences, *[f"engine serve runs, but has not checked since then: {join_some(late)}"] * bool(late)]
