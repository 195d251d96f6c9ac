"""Makes observers of watchdog that go on after an error in one of their events.

On Linux, watchdog's thread that reads the events of the system ends at the first error in its own bookkeeping, for
example after two folders that had the same path one after the other are removed. Its observer stays alive, but has no
more events, and nothing says so.
"""

import sys
from collections.abc import Callable

from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver


def make_observer(report_failure: Callable[[], None]) -> BaseObserver:
    """Return an observer that is not started; once it is, it is alive as long as all threads that it needs are.

    Parameters
    ----------
    report_failure
        Called, in another thread, if an event could not be handled: it and others may be lost.

    Raises
    ------
    OSError
        If the system has no events for it, for example because its limit is reached.
    """
    return _InotifyObserver(report_failure) if sys.platform == "linux" else Observer()


if sys.platform == "linux":
    from watchdog.observers.inotify import InotifyEmitter
    from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

    class _InotifyObserver(BaseObserver):
        def __init__(self, report_failure: Callable[[], None]) -> None:
            self._reader = _EventReader(report_failure)
            super().__init__(InotifyEmitter, inotify_fd=self._reader)
            self._reader.start()

        def is_alive(self) -> bool:
            return super().is_alive() and self._reader.is_alive()

        def on_thread_stop(self) -> None:
            super().on_thread_stop()
            self._reader.stop()
            self._reader.join()

    class _EventReader(InotifyFD):
        def __init__(self, report_failure: Callable[[], None]) -> None:
            super().__init__()
            self._report_failure = report_failure

        def handle_event(self, event: InotifyEvent) -> None:
            try:
                super().handle_event(event)
            except Exception:  # noqa: BLE001 - any error of the library would end the thread
                self._report_failure()
