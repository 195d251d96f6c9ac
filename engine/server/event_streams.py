"""Streams of server-sent events: what goes on is looked at again and again, and a client that was away goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.server.answers import AnswerError
from engine.server.connections import EXCHANGE_SECONDS, extend_exchange
from engine.server.request_threads import RequestThreads

LOOK_SECONDS = 0.5
SILENCE_SECONDS = 10.0
"""A comment is sent after so many seconds without an event, so that a connection that is gone is noticed."""

STREAM_SECONDS = 600.0
"""The longest that one stream lasts; the client goes on with another one, and its token is looked at again."""

STREAMS = 50


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event: its kind, its data as one line of text, and the place after which a client goes on, if it has one."""

    kind: str
    data: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen after a place: the events, the place after them, and whether no more will come."""

    events: Sequence[StreamedEvent]
    place: int
    ended: bool


@dataclass(slots=True)
class EventStreams:
    """Opens streams, a limited number at once. Each look is a transaction of its own: none is held while it waits."""

    threads: RequestThreads
    is_draining: Callable[[], bool]
    _opened: int = 0

    def answer(self, request: Request, look: Callable[[int], Look], place: int) -> Response:
        """Return a stream of what follows a place; `look` is called in a thread."""
        if self._opened >= STREAMS:
            raise AnswerError(503, f"{STREAMS} streams of events are open already", headers={"retry-after": "5"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(request, look, place), headers=headers, media_type="text/event-stream")

    async def _stream(self, request: Request, look: Callable[[int], Look], place: int) -> AsyncIterator[str]:
        self._opened += 1
        began = said = time.monotonic()
        try:
            yield "retry: 1000\n\n"
            while time.monotonic() - began < STREAM_SECONDS and not self.is_draining():
                extend_exchange(request, EXCHANGE_SECONDS)
                found = await self.threads.run(look, place)
                place = found.place
                for one in found.events:
                    id_ = "" if one.place is None else f"id: {one.place}\n"
                    yield f"{id_}event: {one.kind}\ndata: {one.data}\n\n"
                if found.ended:
                    return
                if found.events:
                    said = time.monotonic()
                elif time.monotonic() - said > SILENCE_SECONDS:
                    said = time.monotonic()
                    yield ": at work\n\n"
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._opened -= 1
