"""The messages of a project: sent, waiting, refused, dropped."""

from dataclasses import dataclass

from starlette.requests import Request

from engine.server.answers import AnswerError
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.store import MessageState

MESSAGES = 50


@dataclass(frozen=True, slots=True)
class OutboxPages:
    """The page of the outbox."""

    requests: ProjectRequests

    def list_messages(self, request: Request) -> Page:
        """Return the newest messages, in one state if it is asked for, and the channels that do not deliver."""
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
            content={"messages": shown, "undelivered": store.outbox.summarise_undelivered()},
            values={
                "state": text,
                "states": list(MessageState),
                "older": shown[-1].id if len(found) > MESSAGES else None,
                "is_first": before is None,
            },
            table=Table(
                ("id", "created", "state", "reporter", "channel", "to", "subject", "tries", "last_error", "run"),
                [
                    (one.id, one.created, str(one.state), one.reporter, one.channel, ", ".join(one.to), one.subject,
                     one.tries, one.last_error, one.run)
                    for one in shown
                ],
            ),
            project=project,
        )  # fmt: skip
