"""The sending of a server, and mail servers that do what a test says."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.service.deliveries.channel_turn import DeliveryEvent
from engine.service.deliveries.delivery_loop import DeliveryLoop
from engine.spec import ProjectSpec, load
from engine.store import ChannelState, OutboxMessage, Store

from ...waiting import PATIENCE, wait_for


class Clock:
    """A clock that is ahead of the real one by as much as the test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Service:
    """A project with channels, and the loop that sends through them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.events: list[DeliveryEvent] = []
        self.store = Store.open(folder / "state", now=self.clock)
        self.count = 0
        self.loop: DeliveryLoop | None = None

    def declare(self, **channels: str) -> ProjectSpec:
        """Write the spec with these channels, and load it."""
        lines = [f"  {name}: {channel}" for name, channel in channels.items()]
        path = self.folder / "p.yaml"
        path.write_text("\n".join(["version: 1", "project: p", "channels:", *lines]) + "\n", encoding="utf-8")
        return load(path, environ={})

    def queue(self, channel: str, subject: str = "") -> str:
        self.count += 1
        message = OutboxMessage(
            id=f"m{self.count}",
            run=None,
            reporter=f"r{self.count}",
            channel=channel,
            to=("a@example.com",),
            subject=subject or f"m{self.count}",
            text="text",
            created=self.clock(),
        )
        self.store.outbox.add(message)
        return message.id

    def start(self, project: ProjectSpec, environ: dict[str, str] | None = None) -> DeliveryLoop:
        self.loop = DeliveryLoop(
            self.folder / "state", project, environ or {}, report=self.events.append, clock=self.clock
        )
        self.loop.start()
        return self.loop

    def forward(self, **by: float) -> None:
        self.clock.ahead += timedelta(**by)
        if self.loop:
            self.loop.wake()

    def wait(self, until: Callable[[], Any], seconds: float = PATIENCE) -> None:
        wait_for(until, lambda: f"it, after {(self.events, self.waiting(), self.delays())},", seconds)

    def waiting(self) -> dict[str, int]:
        return {each.channel: each.waiting for each in self.store.outbox.summarize_undelivered()}

    def delays(self) -> dict[str, ChannelState]:
        return self.store.channel_states.list_all()

    def states(self, channel: str = "") -> list[str]:
        return [event.state for event in self.events if channel in ("", event.channel)]


def mail(port: int, timeout: float = 0.5, tls: str = "none") -> str:
    return f"{{kind: mail, url: 'smtp://127.0.0.1:{port}?tls={tls}', from: e@example.com, timeout: {timeout}}}"
