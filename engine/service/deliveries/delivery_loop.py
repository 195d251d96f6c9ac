"""Sends the messages of a project's outbox while a server runs: each when it is due, each channel in order.

The runs only commit their messages. A channel that hangs or is down does not delay the others: each channel has its
turns in its own thread, at most `MOST_AT_ONCE` at the same time (see `channel_turn.py`). Only one message per channel
is in memory. A run that is started by hand sends its messages itself; since each message is claimed, the two never send
the same one.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from engine.errors import EngineError
from engine.service.deliveries.channel_turn import ChannelTurn, DeliveryEvent, find_moment
from engine.spec import ProjectSpec
from engine.spec.secrets.values import Secrets
from engine.store import Store, utc_now
from engine.store.location import StateLocation

MOST_AT_ONCE = 4
"""Most channels that send at the same time."""
TURN_SECONDS = 60.0
"""Seconds after which a channel ends its turn, so that others get theirs; a message being sent is finished."""
POLL_SECONDS = 2.0
"""Seconds between looks at the outbox, because other processes add messages and people ask for new attempts."""
FAULT_SECONDS = 10.0
"""Seconds to wait after an error of the store or a bug."""


class DeliveryLoop:
    """Sends the messages in the outbox of a state through the channels of a project.

    Parameters
    ----------
    place
        The location of the state, which `start` opens.
    environ
        The environment variables that secrets refer to.
    report
        Called with each event, from any thread.
    clock
        Returns datetimes with a time zone.
    """

    def __init__(
        self,
        place: Path | StateLocation,
        project: ProjectSpec,
        environ: Mapping[str, str] = os.environ,
        *,
        report: Callable[[DeliveryEvent], None],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._place, self._environ, self._report, self._clock = place, environ, report, clock
        self._project = project
        self._changed = threading.Condition()
        self._repaired: set[str] = set()
        self._woken = False
        self._until: float | None = None
        self._turns: dict[str, threading.Thread] = {}
        self._unfinished: dict[str, threading.Thread] = {}
        self._not_before: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)
        self._store: Store | None = None

    def start(self) -> None:
        """Open the state and begin to send.

        Raises
        ------
        StoreError
            The state cannot be opened.
        """
        self._store = Store.open(self._place, now=self._clock)
        self._thread.start()

    def wake(self) -> None:
        """Look at the outbox now, because a run has ended."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def replace_project(self, project: ProjectSpec) -> None:
        """Use the channels of another version of the project from the next turn on.

        A channel whose declaration has changed is tried at once, because it may have been repaired.
        """
        with self._changed:
            self._repaired |= {
                name for name, channel in project.channels.items() if channel != self._project.channels.get(name)
            }
            self._project = project
        self.wake()

    def stop(self, seconds: float) -> None:
        """Send due messages for at most `seconds`, and end.

        A message that is still being sent stays claimed until its claim expires, and is then sent by another process.
        """
        with self._changed:
            self._until = time.monotonic() + seconds
        self.wake()
        for thread in (self._thread, *list(self._turns.values())):
            if thread.ident is not None:
                thread.join(max(0.0, self._until - time.monotonic()) + 0.1)
        if self._store is not None and not self._turns:
            self._store.close()

    def _run(self) -> None:
        while True:
            try:
                wait = self._start_turns()
            except Exception as error:  # noqa: BLE001 - the boundary: nothing may end the deliveries
                wait = FAULT_SECONDS
                self._report_fault("", error)
            with self._changed:
                if self._until is not None:
                    left = self._until - time.monotonic()
                    if left <= 0 or (wait > 0 and not self._turns and not self._woken):
                        return
                    wait = min(wait, left)
                self._changed.wait_for(lambda: self._woken, wait)
                self._woken = False

    def _start_turns(self) -> float:
        """Start due turns, at most MOST_AT_ONCE at the same time; return the seconds until the next look."""
        if self._store is None:
            raise TypeError("the state was not opened")
        while self._repaired:
            self._store.channel_states.clear(name := next(iter(self._repaired)))
            self._repaired.discard(name)
        now, wait = self._clock(), POLL_SECONDS
        states = self._store.channel_states.list_all()
        due: list[tuple[int, datetime, str]] = []
        for each in self._store.outbox.summarize_undelivered():
            if each.due is None:
                continue
            state = states.get(each.channel)
            seconds = (find_moment(each.due, state, now) - now).total_seconds()
            with self._changed:
                if each.channel in self._turns or self._is_sending(each.channel):
                    continue  # its end wakes this loop
            seconds = max(seconds, self._not_before.get(each.channel, 0) - time.monotonic())
            if seconds <= 0:
                due.append((state.failures if state else 0, each.oldest, each.channel))
            else:
                wait = min(wait, seconds)
        for _, _, channel in sorted(due):
            if not self._start_turn(channel):
                break
        return wait

    def _is_sending(self, channel: str) -> bool:
        """Return whether a thread of an earlier turn, which could not be stopped, still sends."""
        thread = self._unfinished.get(channel)
        return thread is not None and thread.is_alive()

    def _start_turn(self, channel: str) -> bool:
        with self._changed:
            if len(self._turns) >= MOST_AT_ONCE:
                return False
            thread = threading.Thread(target=self._take_turn, args=(channel,), name=f"to {channel}", daemon=True)
            thread.start()  # before the entry in `_turns`, because it may fail
            self._turns[channel] = thread
        return True

    def _take_turn(self, channel: str) -> None:
        ends = time.monotonic() + TURN_SECONDS

        def is_over() -> bool:
            return time.monotonic() >= min(ends, self._until or ends)

        try:
            if self._store is None:
                raise TypeError("the state was not opened")
            project = self._project
            secrets = Secrets(project, self._environ)  # one per thread, because it is not thread-safe
            unfinished = ChannelTurn(channel, self._store, project, secrets, self._report_event).take(is_over)
            if unfinished is not None:
                self._unfinished[channel] = unfinished
        except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the others
            self._not_before[channel] = time.monotonic() + FAULT_SECONDS
            self._report_fault(channel, error)
        finally:
            with self._changed:
                del self._turns[channel]
            self.wake()

    def _report_event(self, event: DeliveryEvent) -> None:
        with suppress(Exception):  # an error of the listener must not end the deliveries
            self._report(event)

    def _report_fault(self, channel: str, error: Exception) -> None:
        text = str(error) if isinstance(error, EngineError) else f"internal error: {type(error).__name__}: {error}"
        self._report_event(DeliveryEvent(channel, "FAULT", Secrets(self._project, self._environ).redact(text)))
