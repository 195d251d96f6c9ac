"""A mail server for tests, which leaves no open socket behind."""

import asyncio
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP


class MailServer(Controller):
    """A mail server that closes its connections when it stops.

    The one of aiosmtpd leaves open what it has accepted but not greeted yet, which Python then warns of.
    """

    def __init__(self, handler: Any, **settings: Any) -> None:
        self._sessions: list[SMTP] = []
        super().__init__(handler, **settings)

    def factory(self) -> SMTP:
        self._sessions.append(super().factory())
        return self._sessions[-1]

    def cancel_tasks(self, stop_loop: bool = True) -> None:
        self._ending = self.loop.create_task(self._close_connections())

    async def _close_connections(self) -> None:
        await asyncio.sleep(0.01)  # what was accepted becomes a connection
        self.server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.abort()
        await asyncio.sleep(0.01)  # which then end
        self.loop.stop()
