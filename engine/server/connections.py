"""HTTP connections that disconnect slow clients and answer invalid HTTP with JSON."""

import asyncio
import json
from typing import Any

import h11
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

EXCHANGE_SECONDS = 30.0
"""Time limit for a request and its answer together, unless it is extended; no request waits for a run."""

EXTENSION = "engine.extend_exchange"
"""The key in a request's scope of the function that extends its time limit."""


def extend_exchange(request: Request, seconds: float) -> None:
    """Set the time limit of a request to `seconds` from now, for uploads and event streams."""
    extend = request.scope.get(EXTENSION)
    if extend is not None:
        extend(seconds)


class TimedConnection(H11Protocol):
    """A connection with a time limit for each request and its answer.

    uvicorn closes a connection that is idle after an answer, but waits forever for the end of a request.
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
        except UnicodeDecodeError:  # the request target is not ASCII
            self.send_400_response("the path is not ASCII")
        if self.scope is not None:  # before the request's task begins, which reads it
            self.scope[EXTENSION] = self._start_exchange  # type: ignore[literal-required]  # a key of ours

    def send_400_response(self, msg: str) -> None:
        """Answer that the request is not valid HTTP, and close the connection."""
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
            except h11.LocalProtocolError:  # an answer has already begun
                break
        self.transport.close()

    def _start_exchange(self, seconds: float | None = None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(EXCHANGE_SECONDS if seconds is None else seconds, self.transport.abort)
