"""What operations say while they go on: as a stream of server-sent events, which can be resumed, or once as JSON."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.server.answers import AnswerError
from engine.server.connections import EXCHANGE_SECONDS, extend_exchange
from engine.server.node_api.model_answers import answer_model
from engine.server.node_api.parameters import read_number
from engine.server.request_threads import RequestThreads
from engine.service.deployments.node_requests import EventList, OperationEvent
from engine.store.node import Node, OperationRow

LOOK_SECONDS = 0.5
SILENCE_SECONDS = 10.0
"""A comment is sent after so many seconds without an event, so that a connection that is gone is noticed."""

STREAM_SECONDS = 600.0
"""The longest that one stream lasts; the client goes on with another one, and its token is looked at again."""

STREAMS = 50
_OPERATION = TypeAdapter(OperationRow)


@dataclass(slots=True)
class EventRequests:
    """Answers the requests about the events of operations."""

    node: Node
    is_draining: Callable[[], bool]
    _streams: int = 0

    async def list_events(self, request: Request, threads: RequestThreads) -> Response:
        """Return the events after a number: a stream if the Accept header asks for one."""
        id_ = request.path_params["id"]
        last = request.headers.get("last-event-id", "")
        after = int(last) if re.fullmatch(r"[0-9]{1,15}", last) else read_number(request, "after")
        operation = await threads.run(find_operation, self.node, id_)
        if "text/event-stream" not in request.headers.get("accept", ""):
            events = await threads.run(self._list_after, operation, after)
            return answer_model(EventList(operation=operation, events=events))
        if self._streams >= STREAMS:
            raise AnswerError(503, f"{STREAMS} streams of events are open already", headers={"retry-after": "5"})
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self._stream(request, operation, after, threads), headers=headers, media_type="text/event-stream"
        )

    def _list_after(self, operation: OperationRow, after: int) -> list[OperationEvent]:
        found = self.node.operations.list_events(operation, after)
        return [OperationEvent(number=one.number, at=one.at, text=one.text) for one in found]

    def _look(self, id_: str, after: int) -> tuple[OperationRow, list[OperationEvent]]:
        operation = find_operation(self.node, id_)  # before its events, so that an end has all of them
        return operation, self._list_after(operation, after)

    async def _stream(
        self, request: Request, operation: OperationRow, after: int, threads: RequestThreads
    ) -> AsyncIterator[str]:
        """Yield the events of an operation, and its end; each look at them is a transaction of its own."""
        self._streams += 1
        began = said = time.monotonic()
        try:
            yield "retry: 1000\n\n"
            while time.monotonic() - began < STREAM_SECONDS and not self.is_draining():
                extend_exchange(request, EXCHANGE_SECONDS)
                operation, events = await threads.run(self._look, operation.id, after)
                for one in events:
                    after = one.number
                    yield f"id: {one.number}\nevent: said\ndata: {one.model_dump_json()}\n\n"
                if operation.ended is not None:
                    yield f"event: ended\ndata: {_OPERATION.dump_json(operation).decode()}\n\n"
                    return
                if events:
                    said = time.monotonic()
                elif time.monotonic() - said > SILENCE_SECONDS:
                    said = time.monotonic()
                    yield ": at work\n\n"
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._streams -= 1


def find_operation(node: Node, id_: str) -> OperationRow:
    """Return an operation; raises AnswerError if there is none of that id."""
    found = node.operations.find(id_)
    if found is None:
        raise AnswerError(404, "there is no operation of this id", "GET /v1/deployments/NAME/operations lists them")
    return found
