"""Adjusts the states of triggers to the spec.

A trigger that is new, active again, or changed in when it is due starts from now: nothing fires for the past. Only
times missed during a downtime of the server are run late.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.digests import digest_json
from engine.service.triggers.schedule import FIRST_SEEN
from engine.spec.project import ProjectSpec
from engine.spec.resources.triggers import (
    CronTrigger,
    DatasetChangedTrigger,
    IntervalTrigger,
    QueryChangedTrigger,
    ScenarioFinishedTrigger,
    Trigger,
)
from engine.store import TriggerState
from engine.store.records.triggers import RUN_END

PREVIOUS = "previous"
"""The key in `TriggerState.seen` of a trigger without schedule: the moment of its newest fire, as text."""

GONE = ""
"""The definition of a trigger that is not in the spec any more."""


def reconcile_states(
    project: ProjectSpec, states: Sequence[TriggerState], now: datetime, *, newest_end: int
) -> list[TriggerState]:
    """Return the states that must be replaced because of a change of the spec or the clock.

    Must be called at the start, after each change of the spec, and after the clock was set.

    Parameters
    ----------
    states
        All stored states, including those of triggers that are not in the spec any more.
    newest_end
        The number of the newest end of a run, from which a new `scenario_finished` trigger starts.
    """
    known = {(one.scenario, one.trigger): one for one in states}
    wanted = {
        (scenario, trigger.name): trigger
        for scenario, resource in project.scenarios.items()
        for trigger in resource.triggers
    }
    found = [_renew_state(project, name, trigger, known.get(name), now, newest_end) for name, trigger in wanted.items()]
    gone = [replace(one, definition=GONE, seen={}, error=None, error_since=None)
            for name, one in known.items() if name not in wanted and one.definition != GONE]  # fmt: skip
    return [one for one in found if one is not None] + gone


def digest_definition(project: ProjectSpec, trigger: Trigger) -> str:
    """Return the digest of the settings of a trigger that determine when it is due.

    Its format must never change: after an upgrade, every trigger would count as new, and missed times would be lost.
    `catch_up` and variables are not part of it.
    """
    return digest_json({"active": trigger.active, **FACTS[type(trigger)](project, trigger)})


def _renew_state(
    project: ProjectSpec,
    name: tuple[str, str],
    trigger: Trigger,
    known: TriggerState | None,
    now: datetime,
    newest_end: int,
) -> TriggerState | None:
    """Return the new state of a trigger; None if its state stays the same."""
    definition = digest_definition(project, trigger)
    if known is None or known.definition != definition:
        return TriggerState(*name, definition, now, _find_first_facts(trigger, now, newest_end))
    seen = dict(known.seen)
    if FIRST_SEEN in seen and datetime.fromisoformat(seen[FIRST_SEEN]) > now:
        seen |= _find_first_facts(trigger, now, newest_end)  # the clock was set back: count from now
    until = min(known.evaluated_until, now)
    renewed = replace(known, evaluated_until=until, seen=seen)
    return renewed if renewed != known else None


def _find_first_facts(trigger: Trigger, now: datetime, newest_end: int) -> dict[str, Any]:
    if isinstance(trigger, IntervalTrigger):
        return {FIRST_SEEN: now.astimezone(UTC).replace(microsecond=0).isoformat()}
    return {RUN_END: newest_end} if isinstance(trigger, ScenarioFinishedTrigger) else {}


def _describe_cron(project: ProjectSpec, trigger: CronTrigger) -> dict[str, Any]:
    return {
        "kind": "cron",
        "cron": trigger.cron.upper().split(),
        "timezone": trigger.timezone or project.resources.timezone,
    }


def _describe_interval(project: ProjectSpec, trigger: IntervalTrigger) -> dict[str, Any]:
    every = trigger.every
    return {
        "kind": "interval",
        "every": every if isinstance(every, str) else every // timedelta(microseconds=1),
        "since": None if trigger.since is None else trigger.since.isoformat(),
        "timezone": trigger.timezone or project.resources.timezone,
    }


def _describe_changed_data(project: ProjectSpec, trigger: DatasetChangedTrigger) -> dict[str, Any]:
    return {"kind": "dataset_changed", "datasets": sorted(trigger.datasets), "all": trigger.all}


def _describe_changed_query(project: ProjectSpec, trigger: QueryChangedTrigger) -> dict[str, Any]:
    connection = {} if trigger.connection is None else {"connection": trigger.connection}
    return {"kind": "query_changed", "sql": trigger.sql, **connection}


def _describe_finished(project: ProjectSpec, trigger: ScenarioFinishedTrigger) -> dict[str, Any]:
    return {"kind": "scenario_finished", "scenario": trigger.scenario, "outcomes": sorted(trigger.outcomes)}


FACTS: Mapping[type[Trigger], Callable[[ProjectSpec, Any], dict[str, Any]]] = {
    CronTrigger: _describe_cron,
    IntervalTrigger: _describe_interval,
    DatasetChangedTrigger: _describe_changed_data,
    QueryChangedTrigger: _describe_changed_query,
    ScenarioFinishedTrigger: _describe_finished,
}
