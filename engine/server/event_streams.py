"""Streams of server-sent events, made by polling; a client can resume an interrupted stream."""

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
"""After this many seconds without an event, a comment is sent, so that a lost connection is noticed."""

STREAM_SECONDS = 600.0
"""Longest duration of a stream; the client then opens a new one, for which its token is checked again."""

STREAMS = 50


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """An event: its kind, its data as one line of text, and the position from which a client can resume, if any."""

    kind: str
    data: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The events after a position, the position after them, and whether the stream has ended."""

    events: Sequence[StreamedEvent]
    place: int
    ended: bool


@dataclass(slots=True)
class EventStreams:
    """Opens streams, at most STREAMS at the same time. Each look is a separate transaction, so none is held open."""

    threads: RequestThreads
    is_draining: Callable[[], bool]
    _opened: int = 0

    def answer(self, request: Request, look: Callable[[int], Look], place: int) -> Response:
        """Return a stream of the events after a position; `look` is called in a thread."""
        if self._opened >= STREAMS:
            raise AnswerError(503, f"{STREAMS} streams of events are open already", headers={"retry-after": "5"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(request, look, place), headers=headers, media_type="text/event-stream")

    async def _stream(self, request: Request, look: Callable[[int], Look], place: int) -> AsyncIterator[str]:
        self._opened += 1
        began = sent = time.monotonic()
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
                    sent = time.monotonic()
                elif time.monotonic() - sent > SILENCE_SECONDS:
                    sent = time.monotonic()
                    yield ": at work\n\n"
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._opened -= 1
