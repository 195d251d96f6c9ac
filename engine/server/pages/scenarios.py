"""The pages of scenarios: their triggers and fires, their runs as a timeline, and forms to start and pause them."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from engine.formatting.numbers import format_duration
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.health import find_next_times
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests, find_scenario, read_key
from engine.service.control import NextTimes, ServedProject
from engine.spec import ProjectSpec
from engine.spec.resources.triggers import AnyTrigger
from engine.spec.secrets.redaction import Redact
from engine.store import OPEN_STATES, RunRecord, Store, TriggerState
from engine.views.charts.timeline import draw_timeline
from engine.views.run_view import RunView, describe_run
from engine.views.trigger_view import (
    FireView,
    TriggerView,
    describe_fire,
    describe_pause,
    describe_triggers,
    format_fire,
    format_local_time,
    name_zone,
)

RUNS = 50
FIRES = 20
VARIABLE = "variable."
"""The prefix of the form fields for variables."""


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """A scenario: whether it is active, its pause, its triggers, and its newest run."""

    name: str
    description: str | None
    active: bool
    pause: str | None
    triggers: tuple[TriggerView, ...]
    last: RunView | None


@dataclass(frozen=True, slots=True)
class ScenarioPages:
    """The pages of scenarios and their actions."""

    requests: ProjectRequests
    redact: Redact

    def list_scenarios(self, request: Request) -> Page:
        """Return the scenarios of a project."""
        project, spec = self.requests.find_spec(request)
        store = self.requests.find_store(request)
        triggers = self._list_triggers(project, spec, store)
        rows = [_describe_scenario(name, spec, store, triggers) for name in spec.scenarios]
        return Page(
            template="scenarios.html",
            title="Scenarios",
            content={"scenarios": rows, "late": [*project.stale, *project.waits]},
            values={"local": format_local_time},
            table=Table(
                ("scenario", "active", "last run", "last state", "next"),
                [(row.name, row.active, row.last and row.last.started, row.last and row.last.state, _find_next(row))
                 for row in rows],
            ),
            project=project,
        )  # fmt: skip

    def show_scenario(self, request: Request) -> Page:
        """Return a scenario with its runs, newest first, its triggers and their fires."""
        project, spec = self.requests.find_spec(request)
        name, store = find_scenario(request, spec), self.requests.find_store(request)
        before = request.query_params.get("before")
        found = store.runs.history(name, RUNS + 1, whole=False, before=before)
        is_more, runs = len(found) > RUNS, [describe_run(run) for run in found[-RUNS:]]
        row = _describe_scenario(name, spec, store, self._list_triggers(project, spec, store))
        fires = _describe_fires(store, spec, name)
        return Page(
            template="scenario.html",
            title=name,
            content={"scenario": row, "runs": runs[::-1], "fires": fires},
            values={
                "timeline": draw_timeline(runs).render(),
                "told": ", ".join(f"{run.started:%Y-%m-%d %H:%M} {run.state}" for run in runs[-10:]),
                "fires_told": [format_fire(fire) for fire in fires],
                "steps": [(step.name or step.kind, step.kind) for step in spec.scenarios[name].steps],
                "variables": spec.variables,
                "prefix": VARIABLE,
                "key": secrets.token_hex(16),
                "older": runs[0].id if is_more else None,
                "is_first": before is None,
                "local": format_local_time,
                "takes": lambda run: "" if run.seconds is None else format_duration(run.seconds),
            },
            table=Table(
                ("id", "state", "started", "ended", "seconds", "trigger", "by", "as of"),
                [
                    (run.id, run.state, run.started, run.ended, run.seconds, run.trigger, run.who, run.as_of)
                    for run in runs[::-1]
                ],
            ),
            project=project,
        )

    def show_fire(self, request: Request) -> Page:
        """Return the state of a fire, from a request for a run or from a trigger."""
        project, spec = self.requests.find_spec(request)
        store, number = self.requests.find_store(request), request.path_params["number"]
        fire = store.fires.get(int(number)) if number.isdecimal() and len(number) < 15 else None
        if fire is None:
            raise AnswerError(404, "there is no fire of this number", "retention may have removed it")
        run = store.runs.find(fire.run) if fire.run else None
        view = describe_fire(fire, run, name_zone(fire, spec))
        return Page(
            template="fire.html",
            title=f"Fire {fire.number} of {fire.scenario}",
            content=view,
            values={"told": format_fire(view), "is_open": fire.state in OPEN_STATES and run is None},
            project=project,
        )

    def start_run(self, request: Request, form: Mapping[str, str]) -> str:
        """Request a run with the values of variables that differ from the spec."""
        _, spec = self.requests.find_spec(request)
        given = {key.removeprefix(VARIABLE): text for key, text in form.items() if key.startswith(VARIABLE)}
        # a field shows a secret masked; the masked text is not a new value
        shown = {name: {str(value), self.redact(str(value))} for name, value in spec.variables.items()}
        values = {name: text for name, text in given.items() if text not in shown.get(name, ())}
        made = self.requests.ask_run(request, values, read_key(request))
        project = request.path_params["project"]
        return links.build_link(links.FIRE, project=project, number=str(made.fire.number))

    def pause(self, request: Request, form: Mapping[str, str]) -> str:
        """Pause the triggers of a scenario."""
        self.requests.pause_scenario(request, {"reason": form.get("reason", ""), "until": form.get("until") or None})
        return _link_scenario(request)

    def resume(self, request: Request, _form: Mapping[str, str]) -> str:
        """End the pause of a scenario."""
        self.requests.resume_scenario(request, {})
        return _link_scenario(request)

    def _list_triggers(self, project: ServedProject, spec: ProjectSpec, store: Store) -> list[TriggerView]:
        found: dict[tuple[str, str], Sequence[datetime]] = {
            (one.scenario, one.trigger): one.times for one in self._find_times(project)
        }

        def list_times(scenario: str, trigger: AnyTrigger, _state: TriggerState | None) -> Sequence[datetime]:
            return found.get((scenario, trigger.name), ())

        return describe_triggers(spec, store, list_times)

    def _find_times(self, project: ServedProject) -> Sequence[NextTimes]:
        return find_next_times(project, self.requests.control, 3)


def _describe_scenario(name: str, spec: ProjectSpec, store: Store, triggers: Sequence[TriggerView]) -> ScenarioRow:
    last: list[RunRecord] = store.runs.history(name, 1, whole=False)
    pause = next((one for one in store.pauses.list_active() if one.scenario == name), None)
    declared = spec.scenarios[name]
    return ScenarioRow(
        name=name,
        description=declared.description,
        active=declared.active,
        pause=describe_pause(pause) if pause else None,
        triggers=tuple(one for one in triggers if one.scenario == name),
        last=describe_run(last[0]) if last else None,
    )


def _describe_fires(store: Store, spec: ProjectSpec, scenario: str) -> list[FireView]:
    found = store.fires.history(scenario, FIRES)
    runs = store.runs.find_all([fire.run for fire in found if fire.run])
    return [describe_fire(fire, runs.get(fire.run or ""), name_zone(fire, spec)) for fire in reversed(found)]


def _find_next(row: ScenarioRow) -> datetime | None:
    return min((trigger.next_times[0] for trigger in row.triggers if trigger.next_times), default=None)


def _link_scenario(request: Request) -> str:
    project, scenario = request.path_params["project"], request.path_params["scenario"]
    return links.build_link(links.SCENARIO, project=project, scenario=scenario)
