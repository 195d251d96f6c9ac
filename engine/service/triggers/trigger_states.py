"""What is known of the triggers of a project, brought in line with its spec.

A trigger that is new, that is active again, or of which the spec now says otherwise when it is due, starts from now:
nothing of the past fires. Only what was missed because nothing ran is made up for.
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
"""The key under which the state of a trigger that no time causes keeps the moment of its newest fire, as a text."""

GONE = ""
"""The definition of a trigger that the spec does not have any more."""


def reconcile_states(
    project: ProjectSpec, states: Sequence[TriggerState], now: datetime, *, newest_end: int
) -> list[TriggerState]:
    """Return the states to write before triggers are looked at: those that the spec or the clock has made wrong.

    To be called at the start, after each change of the spec, and after the clock was set.

    Parameters
    ----------
    states
        All that is known, also of triggers that the spec does not have any more.
    newest_end
        The number of the newest end of a run: what a new `scenario_finished` trigger starts from.
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
    """Return the digest of what the spec says of when a trigger is due.

    Its form must never change: after an upgrade, another one would make every trigger a new one, and what was missed
    meanwhile would be lost. How a missed time is made up for, and the values of variables, do not belong to it.
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
    """Return what is known of a trigger from now on; None if that is what is known already."""
    definition = digest_definition(project, trigger)
    if known is None or known.definition != definition:
        return TriggerState(*name, definition, now, _find_first_facts(trigger, now, newest_end))
    seen = dict(known.seen)
    if FIRST_SEEN in seen and datetime.fromisoformat(seen[FIRST_SEEN]) > now:
        seen |= _find_first_facts(trigger, now, newest_end)  # the clock was set back: count from now, not from then
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
