"""Limits waits for Spark whose executors or Spark Connect server no longer exist.

Spark waits for executors without limit, because others may start, and its client waits minutes for a server. Such a
wait is reported in the log of the run and ends with an error.
"""

import warnings
from collections.abc import Callable, Iterable
from threading import Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from engine.connections.database_errors import DatabaseError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LONGEST_WAIT = 120
"""Seconds to wait for a server of Spark Connect and its executors; others use spark.network.timeout."""

_REPORTED_AFTER = 10
"""Seconds before a wait is reported, and of each further wait after a full one without success."""

_EXECUTORS = "Spark has no executor; the run waits for one"
_NO_EXECUTOR = (
    "the cluster of Spark has had no executor for {} s: start workers, wait until others have ended, or ask for less, "
    "by spark.executor.memory or spark.cores.max"
)


class _Wait:
    """A wait with a limit."""

    def __init__(self, what: str, most: int) -> None:
        self._what, self._most = what, most
        self._left = max(most, _REPORTED_AFTER)
        self._began: float | None = None
        self._reported = False

    def end(self) -> None:
        """End the wait: the awaited thing exists."""
        self._began, self._left = None, self._most

    def pause(self) -> None:
        """Pause the wait: nothing needs the awaited thing."""
        self._began = None

    def check_limit(self) -> bool:
        """Continue the wait; return whether it has exceeded its limit."""
        now = monotonic()
        if self._began is None:
            self._began, self._reported = now, False
        waited = now - self._began
        if waited >= self._left:
            self._began, self._left = None, _REPORTED_AFTER
            return True
        if waited >= _REPORTED_AFTER and not self._reported:
            self._reported = True
            warnings.warn_explicit(f"{self._what}, at most {self._most} s", RuntimeWarning, "Spark", 0)
        return False


def watch_executors(context: Any) -> None:
    """Cancel the jobs of a cluster that has had no executor for spark.network.timeout, in a thread.

    Waits count only while a job needs an executor: with dynamic allocation executors start with a job.
    """
    if context._jsc.sc().isLocal():  # the driver is the executor
        return
    most = context._jsc.sc().conf().getTimeAsSeconds("spark.network.timeout", f"{LONGEST_WAIT}s")
    Thread(target=_watch_jobs, args=(context, most), name="waits for executors of Spark", daemon=True).start()


def _watch_jobs(context: Any, most: int) -> None:
    from py4j.protocol import Py4JError

    wait = _Wait(_EXECUTORS, most)
    scala, tracker = context._jsc.sc(), context.statusTracker()
    try:
        while not scala.isStopped():
            if scala.getExecutorMemoryStatus().size() > 1:  # the driver is one of them
                wait.end()
            elif not (jobs := list(tracker.getActiveJobsIds())):
                wait.pause()
            elif wait.check_limit():
                for job in jobs:
                    scala.cancelJob(job, _NO_EXECUTOR.format(most))
            sleep(1)
    except (Py4JError, OSError):  # Java has ended, which the next query reports
        return


def bound_waits_of_client(session: "SparkSession") -> None:
    """Make the client of Spark Connect wait `LONGEST_WAIT` at most for its server and executors."""
    from pyspark.sql.connect.client.retries import DefaultPolicy, RetryPolicyState

    server = _Wait("the server of Spark Connect does not answer; the run waits for it", LONGEST_WAIT)
    executors = _Wait(_EXECUTORS, LONGEST_WAIT)

    class BoundedPolicy(DefaultPolicy):  # type: ignore[misc,unused-ignore]  # Any where pyspark is not installed
        def to_state(self) -> RetryPolicyState:  # of each call of the server
            server.pause()
            return super().to_state()

        def can_retry(self, e: BaseException) -> bool:
            return super().can_retry(e) and not server.check_limit()

    def see_progress(stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        if not done:
            server.end()
        if inflight_tasks:
            executors.end()
        elif done or all(stage.done for stage in stages or ()):
            executors.pause()
        elif executors.check_limit():
            raise DatabaseError(_NO_EXECUTOR.format(LONGEST_WAIT), transient=True)

    session.client.set_retry_policies([BoundedPolicy(max_retries=None, max_backoff=5_000)])
    register: Callable[..., None] = session.registerProgressHandler
    register(see_progress)
