"""The supervisor of the process of a step or of runs: `python -m engine.scenarios.supervisor PID`, where PID starts it.

It forks. The child does the work (`worker.py`), or is the program whose name and arguments follow PID, which prints to
standard error only; the parent stays, small, and waits for one of three things: the child
has ended, the process that started it asks for the end (SIGTERM), or that process has died, however it died. Then it
kills the child and everything that the child has started, and ends. So no process of a step outlives the step, and none
outlives its run. An interruption (SIGINT) is passed to the child, whose runs then end in order.

On Linux the supervisor adopts the processes that the child leaves behind ("subreaper", prctl(2)), so it also finds
those that have left the process group by `setsid` or a double fork; elsewhere it kills the child's process group. The
death of the starting process is seen by the number of the parent, which changes then; Linux also sends a signal, so
that it is seen at once.

At the end it adds one JSON line to the reply of the child: how the child ended, and what it had left running.
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
"""How often the supervisor looks whether the process that started it is still there, where no signal says so."""

LEAVE_SECONDS = 0.3
"""Helpers of the child, such as those of Python's multiprocessing, may end by themselves this long after the child."""

KILL_SECONDS = 5.0
"""A killed process that the system cannot end at once, because a disk does not answer, is waited for this long."""


def _supervise(starter: int, program: Sequence[str]) -> None:
    """Fork the worker, and end all that belongs to it when it ends, or when `starter` asks for it or dies."""
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
    # Only the worker reads the request: if it dies before, its starter must see a closed pipe.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    ended: dict[int, int] = {}
    while _reap_children(ended) and worker not in ended and not asked and os.getppid() == starter:
        select.select([awake], [], [], LOOK_SECONDS)
        with contextlib.suppress(BlockingIOError):
            os.read(awake, 4096)
    code = ended.get(worker)
    left = [] if code is None else _list_left_processes(ended)
    _kill_descendants(worker, ended)
    with contextlib.suppress(OSError):  # nobody may be left to read it
        os.write(1, b"\n" + json.dumps({"kind": "end", "code": code, "left": left}).encode() + b"\n")
    os._exit(0)


def _become_worker(supervisor: int, program: Sequence[str]) -> None:
    """Do the work in this process, which is the child of the fork, or let it be the program, if one is given."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have let it be ignored
    os.setsid()
    _call_prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it has died before this process could ask for the signal
        return
    if program:
        _become_program(program)
    from engine.scenarios import worker

    worker.main()


def _become_program(program: Sequence[str]) -> NoReturn:
    replies = os.dup(1)  # it is closed when the program takes this process over
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
    """Ask the system for one of its services for processes; only Linux has it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(operation, ctypes.c_ulong(value), 0, 0, 0)


def _reap_children(ended: dict[int, int]) -> bool:
    """Add the children that have ended, with their exit codes as `subprocess` counts them; tell whether any is left.

    None is left only when none has any descendants: those become children of this process before it can reap the child.
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
    """Return the names of the processes that the worker has left running, after a moment in which they may end."""
    deadline = time.monotonic() + LEAVE_SECONDS
    while _reap_children(ended) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [read_process_name(child) for child in list_children()]


def _kill_descendants(worker: int, ended: dict[int, int]) -> None:
    """Kill the worker's process group and everything that this process has adopted, until nothing is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    deadline = time.monotonic() + KILL_SECONDS
    while _reap_children(ended) and time.monotonic() < deadline:
        for child in list_children():  # killing one makes its own children ours
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


if __name__ == "__main__":
    _supervise(int(sys.argv[1]), sys.argv[2:])
