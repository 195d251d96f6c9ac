"""Operations on the deployments of a node while its server runs; processes carry them out.

The server records an operation under the lock of its deployment, and the process inherits the lock. So the operation
never looks abandoned before its process starts. If the process dies, the operation is unfinished and its lock is free;
the server checks for that each second and starts a process to conclude it. The processes of a killed server continue
and are checked in the same way.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.errors import EngineError
from engine.formatting.moments import format_second
from engine.service.control import RefusedRequestError
from engine.service.deployments.conclusion import conclude_in_process
from engine.service.deployments.updates.order import DeploymentRefusedError, UpdateOrder
from engine.service.deployments.updates.process import UPDATE_PROCESS, write_arguments
from engine.service.deployments.updates.start import begin_operation, refuse_unexpected
from engine.spec import ProjectSpec
from engine.store.locks import LockBusy, leave_lock, release_lock
from engine.store.node import TIDYING_SECONDS, Node, OperationRow, OperationState, RevisionState

AT_ONCE = 2
"""Most processes that carry out operations at the same time; each loads as much as a run."""

LOOK_SECONDS = 1.0
RETRY_SECONDS = 30.0
"""Seconds before a failed conclusion is retried."""

LOCK_SECONDS = 1.0
"""Seconds to wait for the lock of a deployment, which is held briefly by those who only test it."""

DRAIN_SECONDS = 10.0
"""Seconds for which an ending server waits for operations before it interrupts them."""

INTERRUPTION_SECONDS = 5.0
"""Seconds before interrupted operations are killed; the next start concludes them."""

MOST_REPORTED = 4000
"""Most characters of a failed process's output that are reported, from its end."""


class UsedKeyError(EngineError):
    """The idempotency key of a request was used before for another operation."""


class NodeUpdates:
    """Starts operations on deployments, and ensures that each one finishes.

    Parameters
    ----------
    node
        The open infrastructure.
    environ
        The environment of the processes.
    is_draining
        Returns whether the server is shutting down.
    report
        Called with messages for the operators of the node; from any thread.
    node_file
        The file of the node, which the processes read.
    """

    program: Sequence[str] = UPDATE_PROCESS
    """The program that carries out an operation, as arguments for Python."""

    def __init__(
        self,
        node: Node,
        environ: Mapping[str, str],
        is_draining: Callable[[], bool],
        report: Callable[[str], None],
        *,
        node_file: Path | None = None,
    ) -> None:
        self._node, self._environ, self._is_draining, self._report = node, environ, is_draining, report
        self._node_file = node_file
        self._free = threading.Semaphore(AT_ONCE)
        self._beginning = threading.Lock()
        self._stopping = threading.Event()
        self._look = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []
        self._tries: dict[str, float] = {}
        self._draining_since = 0.0

    # --- beginning

    def begin(self, order: UpdateOrder, prepare: Callable[[], None] = lambda: None) -> tuple[OperationRow, bool]:
        """Start an operation; return it and whether it is new: requests with the same key are one operation.

        Parameters
        ----------
        prepare
            Called before a new operation is recorded; what it raises refuses the operation.

        Raises
        ------
        UsedKeyError
            The key was used for another operation.
        DeploymentRefusedError
            The deployment was changed concurrently, another operation is running, or the bundle is quarantined.
        RefusedRequestError
            The server is shutting down, or an abandoned operation is being concluded.
        UsageError
            The deployment belongs to another project.
        """
        with self._beginning:
            known = None if order.key is None else self._node.operations.find_by_key(order.key)
            if known is not None:
                self._compare_with_known(known, order)
                return known, False
            if self._stopping.is_set() or self._is_draining():
                raise RefusedRequestError("this node is shutting down: try again when it is running again")
            prepare()
            lock = self._take_lock(order.deployment)
            try:
                operation = self._record(order)
                thread = threading.Thread(
                    target=self._carry_out,
                    args=(operation, lock, order.now),
                    name=f"update {operation.id}",
                    daemon=True,
                )
                self._threads = [one for one in self._threads if one.is_alive()] + [thread]
                thread.start()
            except BaseException:
                release_lock(lock)
                raise
            return operation, True

    def _take_lock(self, deployment: str) -> int:
        until = time.monotonic() + TIDYING_SECONDS
        while True:
            try:
                return self._node.take_lock(deployment, wait=LOCK_SECONDS)
            except LockBusy:
                at_work = next(iter(self._node.operations.list_open(deployment)), None)
                if at_work is not None:
                    raise DeploymentRefusedError(
                        f"{deployment}: an operation to revision {at_work.to_revision} is running, by {at_work.by} "
                        f"since {format_second(at_work.started)}: wait until it has ended, and look at its result"
                    ) from None
                if time.monotonic() > until:
                    raise RefusedRequestError(f"{deployment}: another process is working on it; try again") from None

    def _record(self, order: UpdateOrder) -> OperationRow:
        """Record an operation; the caller holds the lock."""
        if left := self._node.operations.list_open(order.deployment):
            self._look.set()
            raise RefusedRequestError(
                f"{order.deployment}: the operation {left[0].id} was interrupted and is being concluded; try again"
            )
        deployment = self._node.find_deployment(order.deployment)
        if deployment is None or deployment.project != order.project:
            if order.expected is not None and deployment is None:
                raise DeploymentRefusedError(f"{order.deployment}: nothing is deployed, so no revision is active")
            deployment = self._node.ensure_deployment(order.deployment, order.project)
        refuse_unexpected(self._node, deployment, order)
        return begin_operation(self._node, deployment, order)

    def _compare_with_known(self, known: OperationRow, order: UpdateOrder) -> None:
        """Raise UsedKeyError if a known operation differs from the requested one."""
        row = self._node.find_revision(known.deployment, known.to_revision)
        asked_for = (order.deployment, order.kind, order.expected)
        same = (known.deployment, known.kind, known.from_revision) == asked_for
        same = same and known.allows(again=order.again, now=order.now)
        if order.kind == "deploy" and row is not None:
            asked = (order.bundle, order.bundle_name, order.settings)
            same = same and (row.bundle, row.bundle_name, row.settings) == asked
        if not same:
            raise UsedKeyError(f"the key was used before, for the operation {known.id} on {known.deployment}")

    # --- carrying out

    def _carry_out(self, operation: OperationRow, lock: int, now: bool) -> None:
        """Start the process of an operation when the limit allows it, and wait for its end."""
        with self._free:
            if self._stopping.is_set():  # the next start concludes it
                release_lock(lock)
                return
            with tempfile.TemporaryFile() as printed:
                try:
                    process = subprocess.Popen(  # noqa: S603 - the program is Python, the arguments are ours
                        [
                            sys.executable,
                            *self.program,
                            *write_arguments(self._node.folder, operation, lock, self._node_file, now=now),
                        ],
                        env=dict(self._environ),
                        stdin=subprocess.DEVNULL,
                        stdout=printed,
                        stderr=subprocess.STDOUT,
                        pass_fds=(lock,),
                        start_new_session=True,
                    )
                except OSError as error:
                    self._fail(operation, f"no process could be started: {error.strerror}")
                    release_lock(lock)
                    return
                self._processes[operation.id] = process
                leave_lock(lock)
                code = process.wait()
                self._processes.pop(operation.id, None)
                if code and not self._stopping.is_set():
                    size = printed.seek(0, 2)
                    printed.seek(max(0, size - 4 * MOST_REPORTED))
                    output = printed.read().decode("utf-8", "replace")[-MOST_REPORTED:].strip()
                    how = f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}"
                    self._report(
                        f"{operation.deployment}: the process of the operation {operation.id} {how}"
                        f"{f': {output}' if output else ''}"
                    )
        self._look.set()

    def _fail(self, operation: OperationRow, reason: str) -> None:
        try:
            self._node.operations.conclude(operation, OperationState.FAILED, RevisionState.FAILED, reason)
        except EngineError as error:  # the operation is concluded later
            self._report(str(error))

    # --- abandoned operations

    def start(self) -> None:
        """Start to check for abandoned operations."""
        thread = threading.Thread(target=self._watch, name="updates", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watch(self) -> None:
        problem = ""
        while not self._stopping.is_set():
            self._look.wait(LOOK_SECONDS)
            self._look.clear()
            if self._is_draining():
                self._draining_since = self._draining_since or time.monotonic()
                if time.monotonic() - self._draining_since > DRAIN_SECONDS:
                    self._interrupt()
                continue
            try:
                self._conclude_left()
            except EngineError as error:
                if str(error) != problem:
                    self._report(str(error))
                problem = str(error)
            else:
                problem = ""

    def _conclude_left(self) -> None:
        """Conclude the unfinished operations without a process."""
        now = time.monotonic()
        left = [
            one
            for one in self._node.operations.list_open()
            if self._tries.get(one.id, 0.0) <= now and not self._node.is_locked(one.deployment)
        ]
        if not left:
            return
        conclude_in_process(self._node.folder, self._environ, self._report, self._node_file)
        still = {one.id for one in self._node.operations.list_open()}
        self._tries = {one.id: time.monotonic() + RETRY_SECONDS for one in left if one.id in still}

    # --- the end

    def stop(self) -> None:
        """Wait for running operations and then interrupt them; the next start concludes unfinished ones."""
        self._stopping.set()
        self._look.set()
        since = self._draining_since or time.monotonic()
        self._wait(since + DRAIN_SECONDS - time.monotonic())
        self._interrupt()
        self._wait(INTERRUPTION_SECONDS)
        for process in list(self._processes.values()):
            process.kill()
        for thread in self._threads:
            thread.join(1.0)

    def find_mismatch(self, _project: ProjectSpec) -> str:
        """Return nothing: no spec can be one that does not fit."""
        return ""

    def _interrupt(self) -> None:
        for process in list(self._processes.values()):
            process.terminate()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._processes and time.monotonic() < until:
            time.sleep(0.05)
