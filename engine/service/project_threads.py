"""The background threads of a project: they deliver messages, maintain the state and send the heartbeat."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from engine.service.deliveries.channel_turn import DeliveryEvent
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.service.deliveries.heartbeat import Heartbeat
from engine.service.retention import StateMaintenance
from engine.spec import ProjectSpec
from engine.store import Store, shorten_id

SHORT_SECONDS = 1.0
"""Seconds to wait for the end of a thread whose work can be interrupted."""


@dataclass(frozen=True, slots=True)
class HeartbeatOptions:
    """The channel and the interval of a server's heartbeat."""

    channel: str
    every: timedelta


class ProjectThreads:
    """The threads of a project that this server runs.

    Parameters
    ----------
    find_problem
        Returns why the server is not healthy; empty if it is.
    report
        Called from any thread with the kind of an event, a text, and facts.
    """

    def __init__(
        self,
        store: Store,
        project: ProjectSpec,
        environ: Mapping[str, str],
        heartbeat: HeartbeatOptions | None,
        find_problem: Callable[[], str],
        report: Callable[..., None],
    ) -> None:
        self._store, self._environ, self._options = store, environ, heartbeat
        self._find_problem, self._report = find_problem, report
        now = store.database.now
        self.deliveries = DeliveryLoop(store.location, project, environ, report=self._report_delivery, clock=now)
        self._maintenance = StateMaintenance(store.location, project, self._report_maintenance, now)
        self._heartbeat: Heartbeat | None = None
        self._project = project

    def start(self) -> None:
        """Start the threads; raise StoreError if the state cannot be opened."""
        self.deliveries.start()
        self._maintenance.start()
        self._start_heartbeat()

    def _start_heartbeat(self) -> None:
        """Start the heartbeat, if one is configured and the project has its channel."""
        options = self._options
        if options is None or self._heartbeat is not None or options.channel not in self._project.channels:
            return
        self._heartbeat = Heartbeat(
            self._store,
            self._project,
            options.channel,
            options.every,
            self._environ,
            find_problem=self._find_problem,
            report=self._report_delivery,
            clock=self._store.database.now,
        )
        self._heartbeat.start()

    def replace_project(self, project: ProjectSpec) -> None:
        """Use another version of the project."""
        self._project = project
        self.deliveries.replace_project(project)
        self._maintenance.replace_project(project)
        if self._heartbeat is not None:
            self._heartbeat.replace_project(project)
        self._start_heartbeat()

    def set_busy(self, busy: bool) -> None:
        """Record whether a run is running."""
        self._maintenance.set_busy(busy)

    def stop(self, seconds: float) -> None:
        """Deliver due messages for at most `seconds`, and end the threads."""
        until = time.monotonic() + seconds
        if self._heartbeat is not None:
            self._heartbeat.stop(min(SHORT_SECONDS, seconds))
        self._maintenance.stop(min(SHORT_SECONDS, seconds))
        self.deliveries.stop(max(0.0, until - time.monotonic()))

    def _report_delivery(self, event: DeliveryEvent) -> None:
        run = f" for run {shorten_id(event.run)}" if event.run else ""
        what = f"{event.reporter} to {event.channel}{run}" if event.reporter else f"channel {event.channel}"
        facts = {"channel": event.channel, "state": str(event.state), "message": event.message, "run": event.run}
        self._report("delivery", f"{what}: {event.state}{f': {event.text}' if event.text else ''}", **facts)

    def _report_maintenance(self, level: str, text: str) -> None:
        self._report({"info": "maintenance", "warning": "problem"}.get(level, level), text)
