"""The triggers of a project and their fires; pauses and resumes scenarios."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from engine.acting_user import describe_acting_user
from engine.api.lookup import unknown_name
from engine.errors import UsageError
from engine.formatting.lists import join_some
from engine.pipeline.context import StateContext
from engine.scenarios.scenario_selection import is_declared, list_scenarios
from engine.service.triggers.late_triggers import describe_late_triggers
from engine.service.triggers.schedule import list_next_times
from engine.spec.resources.triggers import AnyTrigger
from engine.spec.variables.moment import find_end
from engine.store import Fire, Pause, RunRecord, TriggerState
from engine.views.trigger_view import (
    FireView,
    TriggerView,
    describe_fire,
    describe_pause,
    describe_triggers,
    name_zone,
)

NEXT_TIMES = 5
"""Number of next times that are listed for a trigger."""


def resolve_end(until: date | datetime | timedelta, what: str, context: StateContext) -> datetime:
    """Return the end of a pause or a mute that begins now; raise UsageError if the end is not possible."""
    try:
        return find_end(until, what, context.clock(), context.project.as_of.tzinfo or UTC)
    except ValueError as wrong:
        raise UsageError(str(wrong)) from None


def pause_scenario(
    scenario: str, until: date | datetime | timedelta | None, reason: str, context: StateContext
) -> Pause:
    """Pause the triggers of a scenario; raise UsageError if there is no such scenario."""
    _require_scenario(scenario, context)
    end = None if until is None else resolve_end(until, "a pause", context)
    pause = Pause(scenario, end, describe_acting_user(), " ".join(reason.split()), context.clock())
    context.store.pauses.add(pause)
    return pause


def resume_scenario(scenario: str, context: StateContext) -> None:
    """End the pause of a scenario; raise UsageError if it is not paused."""
    if not context.store.pauses.end(scenario, describe_acting_user()):
        paused = [pause.scenario for pause in context.store.pauses.list_active()]
        if scenario not in paused:
            _require_scenario(scenario, context)
        others = f"paused are {join_some(paused)}" if paused else "no scenario is"
        raise UsageError(f"{scenario!r} is not paused; {others}")


def describe_pauses(context: StateContext) -> list[str]:
    """Return a sentence for each pause in force, with a remark if it has no effect."""
    return [
        f"{pause.scenario}: {describe_pause(pause)}{explain_idle_pause(pause.scenario, context)}"
        for pause in context.store.pauses.list_active()
    ]


def explain_idle_pause(scenario: str, context: StateContext) -> str:
    """Return why a pause of a scenario has no effect, as the end of a sentence; empty if it has an effect."""
    if not is_declared(context.project, scenario):
        return "; but the spec has no such scenario"
    declared = context.project.scenarios.get(scenario)
    if declared is None or not declared.triggers:
        return "; but it has no triggers, so there is nothing to pause: engine run runs it as before"
    return ""


def list_triggers(context: StateContext) -> list[TriggerView]:
    """Return the triggers of all scenarios, in the order of the spec."""

    def list_times(scenario: str, trigger: AnyTrigger, state: TriggerState | None) -> Sequence[datetime]:
        return list_next_times(context.project, scenario, trigger.name, state, context.clock(), NEXT_TIMES)

    return describe_triggers(context.project, context.store, list_times)


def describe_late_evaluation(context: StateContext) -> list[str]:
    """Return sentences about triggers that engine serve does not evaluate in time; empty if all is well."""
    return describe_late_triggers(context.project, context.store, context.clock())


def list_fires(last: int | None, context: StateContext) -> list[FireView]:
    """Return the fires of all triggers (the `last` of them), oldest first."""
    found = context.store.fires.history(last=last)
    runs = context.store.runs.find_all([fire.run for fire in found if fire.run])
    return [describe_fire(fire, runs.get(fire.run or ""), name_zone(fire, context.project)) for fire in found]


def find_fire_of(run: RunRecord, context: StateContext) -> FireView | None:
    """Return the fire that started a run; None without one, or if retention has removed it."""
    fire: Fire | None = None if run.fire is None else context.store.fires.get(run.fire)
    return None if fire is None else describe_fire(fire, run, name_zone(fire, context.project))


def _require_scenario(scenario: str, context: StateContext) -> None:
    if not is_declared(context.project, scenario):
        raise unknown_name("scenario", scenario, list_scenarios(context.project))
