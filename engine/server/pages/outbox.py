"""The page of a project's messages: sent, waiting, refused and dropped ones."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from engine.formatting.moments import format_minute
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.callers import describe_caller
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.store import MessageState, OutboxMessage, Store

MESSAGES = 50
UNSENT = (MessageState.PENDING, MessageState.REFUSED)
"""The states of messages that can still be sent or dropped."""


@dataclass(frozen=True, slots=True)
class OutboxPages:
    """The page of the outbox and its actions."""

    requests: ProjectRequests

    def list_messages(self, request: Request) -> Page:
        """Return the newest messages, optionally in one state, and the channels that do not deliver."""
        store, project = self.requests.find_store(request), self.requests.find_project(request)
        text = request.query_params.get("state", "")
        if text and text not in list(MessageState):
            raise AnswerError(422, '"state" is not one of a message', f"the states are {', '.join(MessageState)}")
        before = request.query_params.get("before")
        found = store.outbox.list_newest(MESSAGES + 1, before=before, state=MessageState(text) if text else None)
        shown = found[:MESSAGES]
        return Page(
            template="outbox.html",
            title="Outbox",
            content={
                "messages": shown,
                "undelivered": [one._asdict() for one in store.outbox.summarize_undelivered()],
                "unreachable": store.channel_states.list_all(),
            },
            values={
                "state": text,
                "now": self.requests.clock(),
                "states": list(MessageState),
                "older": shown[-1].id if len(found) > MESSAGES else None,
                "is_first": before is None,
            },
            table=Table(
                ("id", "created", "state", "reporter", "channel", "to", "subject", "tries", "reason", "run"),
                [
                    (one.id, one.created, str(one.state), one.reporter, one.channel, ", ".join(one.to), one.subject,
                     one.tries, one.fate or None, one.run)
                    for one in shown
                ],
            ),
            project=project,
        )  # fmt: skip

    def retry_message(self, request: Request, _form: Mapping[str, str]) -> str:
        """Make a message due now, even if it was refused."""
        store, message = self._find_unsent(request)
        store.make_due([message])
        return _link_outbox(request)

    def drop_message(self, request: Request, _form: Mapping[str, str]) -> str:
        """Drop a message, and record by whom."""
        store, message = self._find_unsent(request)
        reason = f"dropped by {describe_caller(request)} on {format_minute(self.requests.clock())}"
        store.drop_message(message, reason)
        return _link_outbox(request)

    def _find_unsent(self, request: Request) -> tuple[Store, OutboxMessage]:
        store = self.requests.find_store(request)
        message = store.outbox.find(request.path_params["message"])
        if message is None:
            raise AnswerError(404, "there is no message of this id", "retention may have removed it")
        if message.state not in UNSENT:
            raise AnswerError(409, f"the message is {message.state} already")
        return store, message


def _link_outbox(request: Request) -> str:
    return links.build_link(links.OUTBOX, project=request.path_params["project"])
