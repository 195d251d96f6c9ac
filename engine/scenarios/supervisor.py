"""The supervisor of the process of a step or of runs: `python -m engine.scenarios.supervisor PID [PROGRAM ARGUMENT…]`.

PID is the process that starts it. The supervisor forks. The child does the work (`worker.py`), or becomes PROGRAM,
whose output goes to standard error. The parent waits until the child has ended, until PID asks for the end (SIGTERM),
or until PID has died for any reason. Then it kills the child and everything that the child has started, and ends. So no
process of a step outlives the step or its run. An interruption (SIGINT) is passed to the child, whose runs then end as
ABORTED.

On Linux the supervisor adopts orphaned descendants ("subreaper", prctl(2)), so it also finds processes that have left
the process group by `setsid` or a double fork; elsewhere it kills the child's process group. It sees the death of PID
by the change of its own parent id; Linux also sends a signal, so that it is seen at once.

At the end it writes one more JSON line: the return code of the child, and the processes that the child left running.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from engine.scenarios.child_processes import list_children, read_process_name

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""Operations of prctl(2)."""

LOOK_SECONDS = 0.5
"""Interval between checks that the starting process still exists, for systems without a signal for this."""
LEAVE_SECONDS = 0.3
"""Seconds in which processes that outlive the child, such as helpers of multiprocessing, can end by themselves."""
KILL_SECONDS = 5.0
"""Longest wait for a killed process that the system cannot end at once, because a disk does not answer."""


def _supervise(starter: int, program: Sequence[str]) -> None:
    """Fork the worker; when it ends, or when `starter` asks for the end or dies, kill all its processes."""
    awake, wake = os.pipe()
    os.set_blocking(awake, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    _call_prctl(PR_SET_CHILD_SUBREAPER, 1)
    _call_prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    supervisor = os.getpid()
    worker = os.fork()
    if worker == 0:
        _become_worker(supervisor, program)
        return
    signal.signal(signal.SIGINT, lambda number, _frame: _pass_signal(number, worker))
    # Only the worker reads the request. If it dies before that, its starter must see a closed pipe.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    ended: dict[int, int] = {}
    while _reap_children(ended) and worker not in ended and not asked and os.getppid() == starter:
        select.select([awake], [], [], LOOK_SECONDS)
        with contextlib.suppress(BlockingIOError):
            os.read(awake, 4096)
    code = ended.get(worker)
    left = [] if code is None else _list_left_processes(ended)
    _kill_descendants(worker, ended)
    with contextlib.suppress(OSError):  # the reader may have died
        os.write(1, b"\n" + json.dumps({"kind": "end", "code": code, "left": left}).encode() + b"\n")
    os._exit(0)


def _become_worker(supervisor: int, program: Sequence[str]) -> None:
    """Run the worker, or execute the program if one is given, in this process, which is the child of the fork."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have set it to be ignored
    os.setsid()
    _call_prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the signal was requested
        return
    if program:
        _become_program(program)
    from engine.scenarios import worker

    worker.main()


def _become_program(program: Sequence[str]) -> NoReturn:
    replies = os.dup(1)  # closed by exec, since dup makes it non-inheritable
    os.dup2(2, 1)
    try:
        os.execvp(program[0], list(program))  # noqa: S606 - without a shell, as its author has written it
    except OSError as error:
        os.write(replies, json.dumps({"kind": "failure", "text": str(error)}).encode() + b"\n")
    os._exit(127)


def _pass_signal(number: int, worker: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, number)


def _call_prctl(operation: int, value: int) -> None:
    """Call prctl(2) with one argument; only Linux has it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(operation, ctypes.c_ulong(value), 0, 0, 0)


def _reap_children(ended: dict[int, int]) -> bool:
    """Add the children that have ended, with their return codes as in `subprocess`; return whether any child is left.

    If no child is left, no descendant is left either: orphans become children of this process before their parent is
    reaped.
    """
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        ended[pid] = os.waitstatus_to_exitcode(status)


def _list_left_processes(ended: dict[int, int]) -> list[str]:
    """Return the names of the processes that the worker left running and that did not end within LEAVE_SECONDS."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while _reap_children(ended) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [read_process_name(child) for child in list_children()]


def _kill_descendants(worker: int, ended: dict[int, int]) -> None:
    """Kill the worker's process group and all adopted processes, until none is left or KILL_SECONDS are over."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while _reap_children(ended) and time.monotonic() < deadline:
        for child in list_children():  # the children of a killed process become children of this one
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


if __name__ == "__main__":
    _supervise(int(sys.argv[1]), sys.argv[2:])
