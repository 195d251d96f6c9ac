"""Views of triggers and fires: what starts a scenario, whether it is active, and what happened to each fire."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from engine.formatting.lists import join_words
from engine.formatting.moments import format_minute, format_second
from engine.formatting.numbers import format_duration, format_seconds
from engine.spec import ProjectSpec
from engine.spec.resources.triggers import (
    AnyTrigger,
    CronTrigger,
    DatasetChangedTrigger,
    IntervalTrigger,
    QueryChangedTrigger,
)
from engine.spec.rules.messages import CHILD_PREFIX
from engine.spec.times.declared_times import format_declared_time
from engine.spec.variables.moment import find_time_zone
from engine.store import Fire, Pause, RunRecord, Store, TriggerState


@dataclass(frozen=True, slots=True)
class TriggerView:
    """A trigger of a scenario.

    Attributes
    ----------
    starts
        A description of what starts a run.
    zone
        The name of the time zone of its times.
    state
        `active`, or the reason why it starts no run: `inactive` by the spec, `paused` by a person, an error.
    last
        Its newest fire; None if it was never due.
    next_times
        The times when it is due next, in UTC; empty for a trigger without times.
    """

    scenario: str
    name: str
    kind: str
    starts: str
    zone: str
    state: str
    last: Fire | None
    next_times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class FireView:
    """A fire with its run.

    `zone` is the name of its trigger's time zone. `late` is the delay between `fire.scheduled` and the start of its
    run; without a run, until it was seen. `outcome` is the outcome of its run, or RUNNING.
    """

    fire: Fire
    zone: str
    late: timedelta
    outcome: str | None


def describe_trigger(trigger: AnyTrigger) -> str:
    """Return a description of what starts a run: `at 30 2 * * *`, `every 14d, counted from 2026-01-06`."""
    if isinstance(trigger, CronTrigger):
        return f"at {trigger.cron}"
    if isinstance(trigger, IntervalTrigger):
        every = format_period(trigger.every)
        return (
            f"every {every}, counted from {format_declared_time(trigger.since) if trigger.since else 'its first look'}"
        )
    if isinstance(trigger, DatasetChangedTrigger):
        names = trigger.datasets
        which = f"dataset {names[0]}" if len(names) == 1 else f"datasets {join_words(names)}"
        how = "" if len(names) == 1 else ", all of them," if trigger.all else ", one of them,"
        return f"when the files of {which}{how} have changed; looks every {format_period(trigger.every)}"
    if isinstance(trigger, QueryChangedTrigger):
        where = "" if trigger.connection is None else f" in {trigger.connection}"
        return f"when the result of a query{where} has changed; looks every {format_period(trigger.every)}"
    outcomes = join_words([str(outcome) for outcome in trigger.outcomes], "or")
    return f"when a run of {trigger.scenario} has ended as {outcomes}"


def format_period(every: timedelta | str) -> str:
    """Return a period in the notation of the spec: `14d`, `1mo`."""
    return every if isinstance(every, str) else format_seconds(every.total_seconds())


def format_local_time(moment: datetime, zone: str, *, seconds: bool = False) -> str:
    """Return a moment as local time in a time zone, with its UTC offset: `2026-10-25 02:30+01:00`."""
    return moment.astimezone(find_time_zone(zone)).isoformat(" ", "seconds" if seconds else "minutes")


def format_utc_time(moment: datetime, *, seconds: bool) -> str:
    """Return a moment in UTC, without its offset: `2026-10-25 01:30`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M{':%S' * seconds}}"


def have_seconds(moments: Iterable[datetime]) -> bool:
    """Return whether any moment is not at a full minute, so that a table shows seconds for all."""
    return any(moment.second or moment.microsecond for moment in moments)


def describe_pause(pause: Pause) -> str:
    """Return who paused a scenario, until when, and why."""
    until = f"until {format_minute(pause.until)}" if pause.until else "until somebody resumes it"
    return f"paused {until} by {pause.by}" + (f": {pause.reason}" if pause.reason else "")


def name_starter(trigger: str) -> str:
    """Return what started a run as a part of a sentence: by hand, by scenario Nightly, by the trigger every night."""
    if trigger.startswith(CHILD_PREFIX):
        return f"by {trigger}"
    return {"manual": "by hand", "watch": "by engine watch"}.get(trigger, f"by the trigger {trigger}")


def format_fire(view: FireView) -> str:
    """Return a fire as a sentence: what was due, when, which try its run is, and its delay."""
    fire = view.fire
    local = "" if view.zone == "UTC" else f" ({format_local_time(fire.scheduled, view.zone)} {view.zone})"
    changed = f", because {', '.join(fire.changed)} changed" if fire.changed else ""
    attempt = f", attempt {fire.attempt}" if fire.attempt > 1 else ""
    return (
        f"{fire.number}: {fire.scenario} {name_starter(fire.trigger)}, for {format_second(fire.scheduled)}{local}"
        f"{changed}{attempt}, {format_duration(view.late.total_seconds())} late"
    )


def describe_fire(fire: Fire, run: RunRecord | None, zone: str) -> FireView:
    """Return the view of a fire; `run` is its run, if it has one that is still stored."""
    late = (run.started if run else fire.seen_at) - fire.scheduled
    return FireView(fire, zone, max(late, timedelta()), run.state if run else None)


def describe_triggers(
    project: ProjectSpec,
    store: Store,
    list_times: Callable[[str, AnyTrigger, TriggerState | None], Sequence[datetime]],
) -> list[TriggerView]:
    """Return the triggers of all scenarios, in the order of the spec.

    Parameters
    ----------
    list_times
        Returns the next times of a scenario's trigger, given its state.
    """
    states = {(state.scenario, state.trigger): state for state in store.fires.list_states()}
    pauses = {pause.scenario: pause for pause in store.pauses.list_active()}
    last = {(fire.scenario, fire.trigger): fire for fire in store.fires.list_newest()}
    found = []
    for scenario, declared in project.scenarios.items():
        for trigger in declared.triggers:
            state = states.get((scenario, trigger.name))
            found.append(
                TriggerView(
                    scenario=scenario,
                    name=trigger.name,
                    kind=trigger.kind,
                    starts=describe_trigger(trigger),
                    zone=_name_zone_of(trigger, project),
                    state=_describe_state(scenario, trigger, state, pauses.get(scenario), project),
                    last=last.get((scenario, trigger.name)),
                    next_times=tuple(list_times(scenario, trigger, state)),
                )
            )
    return found


def name_zone(fire: Fire, project: ProjectSpec) -> str:
    """Return the name of the time zone of a fire's trigger; that of the project, if the spec has no such trigger."""
    declared = project.scenarios[fire.scenario].triggers if fire.scenario in project.scenarios else []
    return _name_zone_of(next((one for one in declared if one.name == fire.trigger), None), project)


def _name_zone_of(trigger: AnyTrigger | None, project: ProjectSpec) -> str:
    return str(getattr(trigger, "timezone", None) or project.resources.timezone)


def _describe_state(
    scenario: str, trigger: AnyTrigger, state: TriggerState | None, pause: Pause | None, project: ProjectSpec
) -> str:
    """Return whether a trigger starts runs, and if not, why."""
    reasons = [
        _explain_inactive(trigger, project, scenario),
        describe_pause(pause) if pause else "",
        f"error since {format_minute(state.error_since)}: {state.error}" if state and state.error_since else "",
    ]
    return "; ".join(filter(None, reasons)) or "active"


def _explain_inactive(trigger: AnyTrigger, project: ProjectSpec, scenario: str) -> str:
    """Return why a trigger is inactive by the spec or the deployment; an empty text if it is not."""
    if project.scenarios[scenario].active:
        return "" if trigger.active else "inactive: the spec says active: false"
    if project.revision is not None and scenario in project.revision.active:
        return f"inactive: the deployment {project.revision.deployment} has switched the scenario off"
    return "inactive: the spec says active: false of the scenario"
