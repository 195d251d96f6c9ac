"""One run: its steps, checks and messages, its log, which goes on while it runs, and aborting it."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.formatting.numbers import format_duration
from engine.server.answers import AnswerError
from engine.server.connections import EXCHANGE_SECONDS, extend_exchange
from engine.server.pages import links
from engine.server.pages.page import Page, Table
from engine.server.request_threads import RequestThreads
from engine.server.requests import ProjectRequests
from engine.spec.redaction import Redact, redact_values
from engine.views.log_view import LogPart, read_log_after, read_log_tail
from engine.views.run_view import describe_run

STREAMS = 20
"""Streams of logs at once."""

STREAM_SECONDS = 600.0
"""How long a stream lasts; the browser then asks for another one, which goes on where this one ended."""

LOOK_SECONDS = 0.7
SILENCE_SECONDS = 10.0


@dataclass(slots=True)
class RunPages:
    """The pages of runs."""

    requests: ProjectRequests
    redact: Redact
    threads: RequestThreads
    _streams: int = 0

    def show_run(self, request: Request) -> Page:
        """Return a run, and the newest part of its log, or the part before the byte that is asked for."""
        store, record = self.requests.find_run(request)
        project = self.requests.find_project(request)
        view = describe_run(record, store.checks.list_of_run(record.id), store.outbox.list_of_run(record.id))
        before = _read_place(request.query_params.get("before", ""))
        log = read_log_tail(store.runs.path_of(record.id), before)
        children = [one for one in store.runs.list_descendants(record.id) if one != record.id]
        return Page(
            template="run.html",
            title=f"Run of {record.scenario}",
            content={"run": view, "log": log},
            values={
                "is_running": record.outcome is None,
                "is_newest": before is None,
                "has_scenario": project.spec is not None and record.scenario in project.spec.scenarios,
                "children": children,
                # those of steps and checks stand in their own tables
                "events": [one for one in record.events if one.kind in ("run", "delivery")],
                "duration": format_duration,
            },
            table=Table(
                ("step", "kind", "outcome", "seconds", "iteration", "reason"),
                [(one.name, one.kind, one.outcome, one.seconds, one.iteration, one.reason) for one in view.steps],
            ),
            project=project,
        )

    def abort(self, request: Request, _form: Mapping[str, str]) -> str:
        """Ask a run to end."""
        self.requests.abort_run(request, {})
        return links.build_link(links.RUN, project=request.path_params["project"], run=request.path_params["run"])

    async def stream_log(self, request: Request) -> Response:
        """Return the log of a run from a byte on as events, until the run has ended.

        The id of an event is the byte at which the log goes on, so that a browser which has lost the connection asks
        for what it has missed.
        """
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        start = _read_place(last) or 0
        read = self._make_reader(await self.threads.run(self.requests.find_run, request))
        if self._streams >= STREAMS:
            raise AnswerError(503, f"{STREAMS} logs are followed already", headers={"retry-after": "5"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(request, read, start), headers=headers, media_type="text/event-stream")

    def _make_reader(self, found: tuple[object, object]) -> Callable[[int], tuple[str, LogPart]]:
        store, run = found

        def read(start: int) -> tuple[str, LogPart]:
            state = store.runs.get(run.id).state  # type: ignore[attr-defined]
            return state, read_log_after(store.runs.path_of(run.id), start)  # type: ignore[attr-defined]

        return read

    async def _stream(
        self, request: Request, read: Callable[[int], tuple[str, LogPart]], start: int
    ) -> AsyncIterator[str]:
        """Yield the lines of a log as they are written; each look at the state is a transaction of its own."""
        self._streams += 1
        began = said = time.monotonic()
        try:
            yield "retry: 1000\n\n"
            while time.monotonic() - began < STREAM_SECONDS and not self.requests.control.is_draining():
                extend_exchange(request, EXCHANGE_SECONDS)
                state, part = await self.threads.run(read, start)  # the state first, so that an end has all lines
                if part.lines:
                    said, start = time.monotonic(), part.end
                    lines = redact_values([asdict(line) for line in part.lines], self.redact)
                    yield f"id: {start}\nevent: lines\ndata: {json.dumps(lines)}\n\n"
                    continue
                if state != "RUNNING":
                    yield f"event: ended\ndata: {json.dumps(state)}\n\n"
                    return
                if time.monotonic() - said > SILENCE_SECONDS:
                    said = time.monotonic()
                    yield ": still running\n\n"
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._streams -= 1


def _read_place(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None
