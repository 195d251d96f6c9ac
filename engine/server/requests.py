"""The requests about the projects of a server: runs, logs, fires, times and pauses."""

import codecs
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.formatting.hints import did_you_mean
from engine.server.answers import AnswerError, build_answer
from engine.server.bodies import check_keys
from engine.server.callers import describe_caller, prefers_html
from engine.server.health import describe_node, explain_unready
from engine.server.links import RUN, build_link
from engine.server.variables import read_variables
from engine.service.control import RequestedRun, ServedProject, ServerControl
from engine.service.served_node import ServedNode
from engine.spec import ProjectSpec
from engine.spec.validation.value_types import parse_duration
from engine.spec.variables.moment import find_end, parse_moment
from engine.store import Fire, RunRecord, Store
from engine.store.records.runs import event_to_json
from engine.views.run_view import describe_deliveries

LOG_BYTES = 65_536
"""Most bytes of a log in one answer."""

FIRES_SHOWN = 20
MOST_FIRES = 1000
RUNS_SHOWN = 20
MOST_RUNS = 1000
NEXT_TIMES = 5
FORM_KEY = "engine.form_key"
"""The key in a request's scope of a form's field `key`."""

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class ProjectRequests:
    """Answers the requests about projects. Each method is called in a thread, and none waits for a run."""

    control: ServerControl
    clock: Callable[[], datetime]
    node: ServedNode | None = None

    def request_run(self, request: Request, body: Mapping[str, Any]) -> Response:
        """Record a requested run, which the loop starts."""
        check_keys(dict(body), ("variables",))
        made = self.ask_run(request, body.get("variables", {}), read_key(request))
        place = f"{request.scope['raw_path'].decode('ascii').partition('/scenarios/')[0]}/fires/{made.fire.number}"
        content = {"fire": _describe_fire(made.fire), "new": made.new}
        return build_answer(content, 202, {"location": place})

    def ask_run(self, request: Request, variables: Any, key: str) -> RequestedRun:
        """Record a requested run of a scenario; raise AnswerError if its variables are not valid."""
        project, spec = self.find_spec(request)
        values = read_variables(variables, spec)
        made = self.control.request_run(project.name, find_scenario(request, spec), values, key)
        if not made.new and dict(made.fire.values) != values:
            message = "Idempotency-Key was used before, for a run with other variables"
            raise AnswerError(409, message, "take a new key for another request")
        return made

    def list_fires(self, request: Request) -> Response:
        """Return the newest fires of a project, or of one scenario, newest first."""
        store = self.find_store(request)
        last = _read_count(request, "last", FIRES_SHOWN, 1, MOST_FIRES)
        found = store.fires.history(request.query_params.get("scenario"), last)
        return build_answer({"fires": [_describe_fire(fire) for fire in reversed(found)]})

    def show_fire(self, request: Request) -> Response:
        """Return one fire."""
        fire = self.find_store(request).fires.get(request.path_params["number"])
        if fire is None:
            raise AnswerError(404, "there is no fire of this number", "the answer to a request for a run has it")
        return build_answer(_describe_fire(fire))

    def list_triggers(self, request: Request) -> Response:
        """Return the triggers of a project with their next times, errors and pauses."""
        project, spec = self.find_spec(request)
        store = self.find_store(request)
        next_times = {
            (one.scenario, one.trigger): one.times for one in self.control.list_next_times(project.name, NEXT_TIMES)
        }
        states = {(one.scenario, one.trigger): one for one in store.fires.list_states()}
        pauses = {one.scenario: one for one in store.pauses.list_active()}
        found = []
        for name, scenario in spec.scenarios.items():
            for trigger in scenario.triggers:
                state, pause = states.get((name, trigger.name)), pauses.get(name)
                found.append(
                    {
                        "scenario": name,
                        "trigger": trigger.name,
                        "kind": trigger.kind,
                        "active": trigger.active,
                        "next": next_times.get((name, trigger.name), ()),
                        "error": state.error if state else None,
                        "error_since": state.error_since if state else None,
                        "paused": pause and {"until": pause.until, "by": pause.by, "reason": pause.reason},
                    }
                )
        return build_answer({"triggers": found})

    def list_runs(self, request: Request) -> Response:
        """Return the newest runs, oldest first, without steps and events."""
        store = self.find_store(request)
        found = store.runs.history(last=_read_count(request, "last", RUNS_SHOWN, 1, MOST_RUNS), whole=False)
        return build_answer({"runs": [_describe_run(run) for run in found], "total": store.runs.count()})

    def show_run(self, request: Request) -> Response:
        """Return a run with the deliveries of its messages, and its log from a byte on."""
        store, run = self.find_run(request)
        start = _read_count(request, "from", 0, 0, 1 << 50)
        found = _describe_run(run) | {"deliveries": describe_deliveries(store.outbox.list_of_run(run.id))}
        return build_answer({"run": found, "log": read_log(store.runs.path_of(run.id), start)})

    def show_linked_run(self, request: Request) -> Response:
        """Return a run of any project with its log, for the links in messages; a browser is redirected to its page."""
        wanted = request.path_params["run"]
        for project in self.control.list_projects():
            if project.store is not None and wanted in project.store.runs.find_ids(wanted):
                if prefers_html(request.headers):
                    return RedirectResponse(build_link(RUN, project=project.name, run=wanted), 303)
                request.path_params["project"] = project.name
                return self.show_run(request)
        raise AnswerError(404, "no project of this server has a run of this id", "it may be removed, or not served now")

    def abort_run(self, request: Request, body: Mapping[str, Any]) -> Response:
        """Ask a run to end."""
        check_keys(dict(body), ("by",))
        store, run = self.find_run(request)
        if run.outcome is not None:
            raise AnswerError(409, f"the run has already ended {run.outcome}")
        by = _read_name(request, body)
        started_here = self.control.abort_run(request.path_params["project"], run.id, by)
        if not started_here and not store.runs.request_abort(run.id, by):
            message = "the process of the run has died, or is on another host"
            help_ = (
                f"{run.who} has started it: end it there, with Ctrl-C. If it has died, the next run marks it ABORTED"
            )
            raise AnswerError(409, message, help_)
        return build_answer({"aborting": run.id, "ends": "at once" if started_here else "after its step"}, 202)

    def pause_scenario(self, request: Request, body: Mapping[str, Any]) -> Response:
        """Pause the triggers of a scenario."""
        project, spec = self.find_spec(request)
        scenario = find_scenario(request, spec)
        check_keys(dict(body), ("until", "reason", "by"))
        reason = body.get("reason")
        if not isinstance(reason, str) or not reason.strip() or len(reason) > 1000:
            raise AnswerError(422, '"reason" is missing', 'say why, for all who see it: {"reason": "…"}')
        until = _read_end(body.get("until"), spec, self.clock())
        by = _read_name(request, body)
        self.control.pause(project.name, scenario, until, by, " ".join(reason.split()))
        return build_answer({"paused": scenario, "until": until, "by": by})

    def resume_scenario(self, request: Request, body: Mapping[str, Any]) -> Response:
        """End the pause of a scenario."""
        project, spec = self.find_spec(request)
        scenario = find_scenario(request, spec)
        check_keys(dict(body), ("by",))
        return build_answer({"resumed": self.control.resume(project.name, scenario, _read_name(request, body))})

    def reload_specs(self, _request: Request, body: Mapping[str, Any]) -> Response:
        """Read the specs and the node file again; 422 if one is not valid, and its last valid version stays in use."""
        check_keys(dict(body), ())
        found = [
            {"project": one.name, "spec": str(one.path), "valid": not one.spec_problems, "problems": one.spec_problems}
            for one in self.control.reload()
        ]
        of_node = {} if self.node is None else {"node": describe_node(self.node)}
        valid = all(one["valid"] for one in [*found, *of_node.values()])
        return build_answer({"projects": found, **of_node}, 200 if valid else 422)

    def find_project(self, request: Request) -> ServedProject:
        """Return the project of a request; raise AnswerError if there is none with this name."""
        wanted, projects = request.path_params["project"], self.control.list_projects()
        for project in projects:
            if project.name == wanted:
                return project
        help_ = did_you_mean(wanted, (project.name for project in projects), "the projects are")
        raise AnswerError(404, f'there is no project "{wanted[:60]}"', help_)

    def find_spec(self, request: Request) -> tuple[ServedProject, ProjectSpec]:
        """Return the project of a request and its last valid spec; raise AnswerError without one."""
        project = self.find_project(request)
        if project.spec is None:
            help_ = "; ".join(project.spec_problems[:3])
            raise AnswerError(503, "the spec of this project has errors, and none has been valid yet", help_)
        return project, project.spec

    def find_store(self, request: Request) -> Store:
        """Return the open state of a project; raise AnswerError if it cannot be used."""
        project = self.find_project(request)
        if project.store is None:
            help_ = project.store_problem or "; ".join(project.spec_problems[:3])
            raise AnswerError(503, "; ".join(explain_unready(project)), help_)
        return project.store

    def find_run(self, request: Request) -> tuple[Store, RunRecord]:
        """Return a run and its state; raise AnswerError unless exactly one run has this id or short id."""
        store, wanted = self.find_store(request), request.path_params["run"]
        meant = store.runs.find_ids(wanted)
        if wanted in meant or len(meant) == 1:
            return store, store.runs.get(wanted if wanted in meant else meant[0])
        if meant:
            raise AnswerError(404, f"this is the end of the ids of {len(meant)} runs", "write more of the id")
        help_ = "its id stands in its fire, from the moment at which its process has begun"
        raise AnswerError(404, "there is no run of this id", help_)


def read_key(request: Request) -> str:
    """Return the idempotency key of a request; a new one if it has none.

    A form of a page has it as a field.
    """
    key = request.headers.get("idempotency-key") or request.scope.get(FORM_KEY) or secrets.token_hex(16)
    if not _REQUEST_ID.fullmatch(key):
        raise AnswerError(400, "Idempotency-Key is not valid", "1 to 200 letters, digits and signs without spaces")
    return key


def find_scenario(request: Request, spec: ProjectSpec) -> str:
    """Return the scenario of a request; raise AnswerError if the spec does not declare it."""
    wanted: str = request.path_params["scenario"]
    if wanted not in spec.scenarios:
        help_ = did_you_mean(wanted, spec.scenarios, "the scenarios are")
        raise AnswerError(404, f'there is no scenario "{wanted[:60]}"', help_)
    return wanted


def _read_count(request: Request, name: str, default: int, least: int, most: int) -> int:
    """Return a whole number of the query."""
    return parse_count(name, request.query_params.get(name, str(default)), least, most)


def parse_count(name: str, text: str, least: int, most: int) -> int:
    """Return a whole number of a request; raise AnswerError if it is not one from `least` to `most`."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise AnswerError(422, f'"{name}" is not valid', f"write a whole number from {least} to {most}")
    return int(text)


def _read_name(request: Request, body: Mapping[str, Any]) -> str:
    """Return the caller: the name of the token, the address, and the person named in the body."""
    address = describe_caller(request)
    name = body.get("by", "")
    if not isinstance(name, str) or len(name) > 100 or not name.isprintable():
        raise AnswerError(422, '"by" is not a name', "write up to 100 characters on one line")
    return f"{name.strip()} ({address})" if name.strip() else address


def _read_end(found: Any, spec: ProjectSpec, now: datetime) -> datetime | None:
    """Return the end of a pause; None if it lasts until somebody ends it."""
    if found is None:
        return None
    help_ = "write a date such as 2026-12-01, a time such as 2026-12-01T09:30, a duration such as 12h or 7d, or null"
    if not isinstance(found, str):
        raise AnswerError(422, '"until" is not a time', help_)
    try:
        parsed = parse_duration(found.strip()) or parse_moment(found.strip())
    except ValueError:
        raise AnswerError(422, '"until" is not a time', help_) from None
    try:
        return find_end(parsed, "a pause", now, spec.as_of.tzinfo or UTC)
    except ValueError as wrong:
        raise AnswerError(422, str(wrong), help_) from None


def _describe_fire(fire: Fire) -> dict[str, Any]:
    names = ("number", "scenario", "trigger", "state", "reason", "scheduled", "seen_at", "run", "attempt", "into")
    found = {name: getattr(fire, name) for name in names}
    return found | {"variables": dict(fire.values), "changed": list(fire.changed), "next_try": fire.next_try}


def _describe_run(run: RunRecord) -> dict[str, Any]:
    names = (
        "id",
        "project",
        "scenario",
        "state",
        "cause",
        "started",
        "ended",
        "as_of",
        "who",
        "trigger",
        "parent",
        "fire",
        "release",
    )
    steps = ("name", "kind", "outcome", "started", "ended", "reused", "reason", "turn")
    return {name: getattr(run, name) for name in names} | {
        "variables": dict(run.variables),
        "spec": run.spec,
        "steps": [{name: getattr(step, name) for name in steps} for step in run.steps],
        "events": [event_to_json(event) for event in run.events],
    }


def read_log(folder: Path, start: int) -> dict[str, Any]:
    """Return the complete entries of a run's log from a byte on, and the byte where the next ones begin."""
    try:
        with (folder / "log.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            if start > size:
                raise AnswerError(422, f'"from" is beyond the log, which has {size} bytes', "go on from its `next`")
            file.seek(start)
            part = file.read(LOG_BYTES)
    except OSError:
        return {"from": start, "next": start, "text": "", "more": False}
    whole = part[: part.rfind(b"\n") + 1] or (part if len(part) == LOG_BYTES else b"")
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(whole)
    # An entry that is longer than one answer may be cut inside a character: the next answer begins with that.
    following = start + len(whole) - len(decoder.getstate()[0])
    return {"from": start, "next": following, "text": text, "more": following < size and bool(whole)}
