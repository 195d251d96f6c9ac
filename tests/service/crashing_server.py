"""`engine serve` that is ended at a point: `ENGINE_CRASH_AT=after insert:2:SIGKILL:server` is at the second time.

The last word is who gets the signal: the server, or the process of the run that has come to the point. The points of
the server are its own hook `checkpoint`. Those of the process of a run lie around what it does with its store: this
file is the program of its supervisor too, and wraps those calls there.
"""

import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.store.locks import Locks
from engine.store.runs import Runs

COUNT, SERVER = "ENGINE_CRASH_COUNT", "ENGINE_CRASH_SERVER"


def crash_at(name: str) -> None:
    """Send the signal, if the point has been come to so often: once, whatever is started after it."""
    wanted, nth, number, whom = os.environ["ENGINE_CRASH_AT"].split(":")
    if name != wanted:
        return
    counted = Path(os.environ[COUNT])
    with counted.open("ab") as file:
        file.write(b"x")
    if counted.stat().st_size == int(nth):
        pid = int(os.environ[SERVER]) if whom == "server" else os.getpid()
        os.kill(pid, signal.Signals[number])
        if pid != os.getpid():
            time.sleep(0.5)  # so that the point is where the signal comes


def wrap_call(owner: type, method: str, before: str = "", after: str = "") -> None:
    """Let a method pass points before and after it."""
    call: Callable[..., Any] = getattr(owner, method)

    @functools.wraps(call)
    def passing(*arguments: Any, **named: Any) -> Any:
        if before:
            crash_at(before)
        result = call(*arguments, **named)
        if after:
            crash_at(after)
        return result

    setattr(owner, method, passing)


def supervise() -> None:
    """Be the supervisor of a run's process."""
    from engine.scenarios import supervisor

    wrap_call(Locks, "hold", before="before lock")
    wrap_call(Runs, "find", after="after lock")
    wrap_call(Runs, "start", after="after row")
    wrap_call(Runs, "finish", before="before finish", after="after finish")
    supervisor._supervise(int(sys.argv[1]), sys.argv[2:])


def serve() -> None:
    """Be the server."""
    from engine.cli.printers.serve_printers import ServePrinter
    from engine.service.server_process import ServeOptions, Server

    os.environ[SERVER] = str(os.getpid())
    server = Server(
        [Path("served.yaml")],
        ServeOptions(at_once=2, drain=1.0),
        ServePrinter("json", verbose=False),
        environ=os.environ,
        checkpoint=crash_at,
        program=(__file__,),
    )
    server.serve()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        supervise()
