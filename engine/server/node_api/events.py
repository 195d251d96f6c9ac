"""The messages of operations, as a resumable stream of server-sent events, or once as JSON."""

import re
from dataclasses import dataclass

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from engine.server.answers import AnswerError
from engine.server.event_streams import EventStreams, Look, StreamedEvent
from engine.server.node_api.model_answers import answer_model
from engine.server.node_api.parameters import read_number
from engine.server.request_threads import RequestThreads
from engine.service.deployments.node.requests import EventList, OperationEvent
from engine.store.node import Node, OperationRow

_OPERATION = TypeAdapter(OperationRow)


@dataclass(frozen=True, slots=True)
class EventRequests:
    """Answers the requests about the events of operations."""

    node: Node
    streams: EventStreams

    async def list_events(self, request: Request, threads: RequestThreads) -> Response:
        """Return the events after a number: a stream if the Accept header asks for one."""
        id_ = request.path_params["id"]
        last = request.headers.get("last-event-id", "")
        after = int(last) if re.fullmatch(r"[0-9]{1,15}", last) else read_number(request, "after")
        operation = await threads.run(find_operation, self.node, id_)
        if "text/event-stream" not in request.headers.get("accept", ""):
            events = await threads.run(self._list_after, operation, after)
            return answer_model(EventList(operation=operation, events=events))
        return self.streams.answer(request, lambda place: self._look(operation.id, place), after)

    def _list_after(self, operation: OperationRow, after: int) -> list[OperationEvent]:
        found = self.node.operations.list_events(operation, after)
        return [OperationEvent(number=one.number, at=one.at, text=one.text) for one in found]

    def _look(self, id_: str, after: int) -> Look:
        operation = find_operation(self.node, id_)  # before its events, so that all are read when it has ended
        found = self._list_after(operation, after)
        events = [StreamedEvent("said", one.model_dump_json(), one.number) for one in found]
        if operation.ended is not None:
            events.append(StreamedEvent("ended", _OPERATION.dump_json(operation).decode()))
        return Look(events, found[-1].number if found else after, operation.ended is not None)


def find_operation(node: Node, id_: str) -> OperationRow:
    """Return the operation with this id; raise AnswerError if there is none."""
    found = node.operations.find(id_)
    if found is None:
        raise AnswerError(404, "there is no operation of this id", "GET /v1/deployments/NAME/operations lists them")
    return found
