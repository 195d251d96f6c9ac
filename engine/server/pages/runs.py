"""The page of a run: its steps, checks and messages, its live log, and the button to abort it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engine.evaluation.record import CheckResult
from engine.formatting.numbers import format_duration
from engine.server import links
from engine.server.answers import build_answer, make_json
from engine.server.event_streams import EventStreams, Look, StreamedEvent
from engine.server.pages.page import Page, Table
from engine.server.request_threads import RequestThreads
from engine.server.requests import ProjectRequests
from engine.spec.secrets.redaction import Redact, redact_values
from engine.store import Store
from engine.views.charts.steps import MOST_STEPS, draw_steps
from engine.views.checks import group_checks
from engine.views.layout import lay_out_checks
from engine.views.log_view import read_log_after, read_log_tail
from engine.views.run_view import describe_deliveries, describe_run

MOST_CHILDREN = 100
"""Most child runs that the page of a run lists."""


@dataclass(frozen=True, slots=True)
class RunPages:
    """The pages of runs."""

    requests: ProjectRequests
    redact: Redact
    threads: RequestThreads
    streams: EventStreams

    def show_run(self, request: Request) -> Page:
        """Return a run with the newest part of its log, or the part before a requested byte."""
        store, record = self.requests.find_run(request)
        project = self.requests.find_project(request)
        messages = store.outbox.list_of_run(record.id)
        checks = store.checks.list_of_run(record.id)
        view = describe_run(record, checks, describe_deliveries(messages))
        before = _read_place(request.query_params.get("before", ""))
        log = read_log_tail(store.runs.path_of(record.id), before)
        children = [one for one in store.runs.list_descendants(record.id) if one != record.id]
        shown = [found for one in children[:MOST_CHILDREN] if (found := store.runs.find(one))]
        return Page(
            template="run.html",
            title=f"Run of {record.scenario}",
            content={"run": view, "messages": messages, "log": log},
            values={
                "is_running": record.outcome is None,
                "abort_asked": store.runs.find_abort_request(record.id) if record.outcome is None else None,
                "is_newest": before is None,
                "has_scenario": project.spec is not None and record.scenario in project.spec.scenarios,
                "children": shown,
                "more_children": max(0, len(children) - MOST_CHILDREN),
                # steps and checks have their own tables
                "events": [one for one in record.events if one.kind in ("run", "delivery")],
                "duration": format_duration,
                "checked": _lay_out_targets(checks),
                "drawing": draw_steps(view, self.redact).render() if view.steps else None,
                "most_drawn": MOST_STEPS,
            },
            table=Table(
                ("step", "kind", "outcome", "started", "ended", "seconds", "iteration", "reason"),
                [
                    (one.name, one.kind, one.outcome, one.started, one.ended, one.seconds, one.iteration, one.reason)
                    for one in view.steps
                ],
            ),
            project=project,
        )

    def abort(self, request: Request, _form: Mapping[str, str]) -> str:
        """Ask a run to end."""
        self.requests.abort_run(request, {})
        return links.build_link(links.RUN, project=request.path_params["project"], run=request.path_params["run"])

    async def stream_log(self, request: Request) -> Response:
        """Return the log of a run from a byte on as events, until the run has ended.

        The id of an event is the byte after it, so that a browser can resume a lost connection. The first event says
        that the stream has begun: if a proxy delays it, the browser polls for JSON instead.
        """
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        place = _read_place(last) or 0
        store, run = await self.threads.run(self.requests.find_run, request)
        if "application/json" in request.headers.get("accept", ""):
            found = await self.threads.run(self._look, store, run.id, place)
            events = [{"kind": one.kind, "data": json.loads(one.data)} for one in found.events]
            return build_answer({"events": events, "place": found.place, "ended": found.ended})
        begun = [StreamedEvent("begun", "{}")]

        def look(place: int) -> Look:
            found = self._look(store, run.id, place)
            first, begun[:] = list(begun), []
            return replace(found, events=[*first, *found.events])

        return self.streams.answer(request, look, place)

    def _look(self, store: Store, run: str, place: int) -> Look:
        state = store.runs.get(run).state  # before the log, so that all lines are read when the run has ended
        part = read_log_after(store.runs.path_of(run), place)
        if part.lines:
            lines = redact_values(make_json(part.lines), self.redact)
            return Look([StreamedEvent("lines", json.dumps(lines), part.end)], part.end, ended=False)
        has_ended = state != "RUNNING"
        return Look([StreamedEvent("ended", json.dumps(state))] if has_ended else [], place, has_ended)


def _lay_out_targets(checks: Sequence[CheckResult]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return what was checked, each with its checks as tables show them."""
    targets = dict.fromkeys(one.target for one in checks)
    return [(name, lay_out_checks(group_checks(one for one in checks if one.target == name))) for name in targets]


def _read_place(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
