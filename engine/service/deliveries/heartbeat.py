"""The heartbeat of a server: a message at regular intervals while the server is healthy.

A server cannot report that it has died. So it sends heartbeats to a service such as Healthchecks, which raises the
alarm when they stop (a dead man's switch). A webhook channel fits best, because such a service accepts any POST; a mail
is sent to the channel's own address. The heartbeat also stops when the scheduler hangs, or when the state cannot be
written, because runs could not be recorded. A heartbeat that cannot be sent is reported and never queued, because a
late one would be wrong.
"""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from engine.errors import EngineError
from engine.formatting.moments import format_minute
from engine.notifications.attempt import send_directly
from engine.service.deliveries.channel_turn import DeliveryEvent, EventState
from engine.spec import ProjectSpec
from engine.spec.resources.channels import MailChannel
from engine.spec.secrets.values import Secrets
from engine.store import OutboxMessage, Store, generate_id, utc_now

REPORTER = "heartbeat"


class Heartbeat:
    """Sends a message through a channel, first at `start` and then each time after `every`.

    Parameters
    ----------
    store
        The open state; `stop` leaves it open.
    project
        Declares the channel.
    find_problem
        Returns why the server is not healthy; an empty text if it is.
    report
        Called with each event, from another thread: SENT, or DROPPED with the reason; it must not raise.
    """

    def __init__(
        self,
        store: Store,
        project: ProjectSpec,
        channel: str,
        every: timedelta,
        environ: Mapping[str, str] = os.environ,
        *,
        find_problem: Callable[[], str],
        report: Callable[[DeliveryEvent], None],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store, self._project, self._environ = store, project, environ
        self._channel, self._every = channel, every
        self._find_problem, self._report, self._clock = find_problem, report, clock
        self._began = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Send the first heartbeat, and go on until `stop`."""
        self._thread.start()

    def replace_project(self, project: ProjectSpec) -> None:
        """Use the channel of another version of the project."""
        self._project = project

    def stop(self, seconds: float) -> None:
        """Stop sending; wait at most `seconds` for a heartbeat that is being sent."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with suppress(Exception):  # the boundary: what `report` raises must not end the heartbeat
                self._report(self._beat())
            if self._stopped.wait(self._every.total_seconds()):
                return

    def _beat(self) -> DeliveryEvent:
        secrets = Secrets(self._project, self._environ)
        try:
            if trouble := self._find_problem():
                return self._make_event("DROPPED", f"no heartbeat, because {trouble}")
            self._store.database.prove_writable()
            limit, remarks = self._every.total_seconds(), list[str]()
            sent_to = send_directly(self._project, secrets, self._compose(), None, limit, remarks=remarks)
        except Exception as error:  # noqa: BLE001 - the boundary: a bug in a channel must not end the heartbeat
            reason = str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
            return self._make_event("DROPPED", f"the heartbeat was not sent: {secrets.redact(reason)}")
        return self._make_event("SENT", "; ".join([sent_to, *remarks]))

    def _make_event(self, state: EventState, text: str) -> DeliveryEvent:
        return DeliveryEvent(self._channel, state, text, reporter=REPORTER)

    def _compose(self) -> OutboxMessage:
        now = self._clock()
        channel = self._project.channels.get(self._channel)
        return OutboxMessage(
            id=generate_id(now),
            run=None,
            reporter=REPORTER,
            channel=self._channel,
            to=(channel.from_,) if isinstance(channel, MailChannel) else (),
            subject=f"{self._project.name}: engine serve is running",
            text=f"engine serve of {self._project.name} is running since {format_minute(self._began)}. "
            f"If this message does not come again in {self._every}, it is not.",
            created=now,
        )
