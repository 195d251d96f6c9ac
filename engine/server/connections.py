"""One connection of HTTP: a client that sends or reads too slowly is disconnected, and bad HTTP is answered in JSON."""

import asyncio
import json
from typing import Any

import h11
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

EXCHANGE_SECONDS = 30.0
"""The longest that a request and its answer may take together, unless it is extended. None waits for a run."""

EXTENSION = "engine.extend_exchange"
"""The key of a request's scope under which the function is that extends its exchange."""


def extend_exchange(request: Request, seconds: float) -> None:
    """Extend the time limit of a request, in seconds from now: uploads and streams of events take long."""
    extend = request.scope.get(EXTENSION)
    if extend is not None:
        extend(seconds)


class TimedConnection(H11Protocol):
    """A connection whose exchanges are limited in time.

    uvicorn ends a connection that is idle after an answer, but waits for ever for the end of a request.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._start_exchange()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()

    def on_response_complete(self) -> None:
        self._start_exchange()
        super().on_response_complete()

    def handle_events(self) -> None:
        try:
            super().handle_events()
        except UnicodeDecodeError:  # the target of a request has bytes that are not ASCII
            self.send_400_response("the path is not ASCII")
        if self.scope is not None:  # it is read by the request's task, which begins later
            self.scope[EXTENSION] = self._start_exchange  # type: ignore[literal-required]  # a key of ours

    def send_400_response(self, msg: str) -> None:
        """Tell that what came is not HTTP, and end the connection."""
        body = json.dumps({"error": msg, "help": "this is a server of HTTP/1.1"}).encode() + b"\n"
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
            ("connection", "close"),
        ]
        events: list[Any] = [h11.Response(status_code=400, headers=headers, reason=b"Bad Request")]
        for event in [*events, h11.Data(data=body), h11.EndOfMessage()]:
            try:
                self.transport.write(self.conn.send(event) or b"")
            except h11.LocalProtocolError:  # an answer has been begun already
                break
        self.transport.close()

    def _start_exchange(self, seconds: float | None = None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(EXCHANGE_SECONDS if seconds is None else seconds, self.transport.abort)
