"""Runs the hooks around an update, and kills each with its child processes at its time limit."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from engine.errors import EngineError
from engine.scenarios.process import END_LIMIT, SUPERVISOR
from engine.scenarios.requests import EndReply, FailureReply, get_reply_reader
from engine.spec.secrets.values import MAX_SECRET_BYTES

MOST_KEPT = 4000
"""Most characters of a hook's output that are kept, from its end."""

MOST_READ = 4 * MOST_KEPT + 2 * MAX_SECRET_BYTES
"""Bytes of the output in which secrets are masked, including one that begins before the kept part."""


class HookError(EngineError):
    """A hook of an update has failed."""


def run_hook(
    argv: Sequence[str], seconds: float, folder: Path, environ: Mapping[str, str], redact: Callable[[str], str]
) -> str:
    """Run a program and return the end of its output.

    A supervisor kills the processes that it leaves running, and the program itself if this process dies.

    Parameters
    ----------
    redact
        Masks the secrets, which are in the environment of the program.

    Raises
    ------
    HookError
        The program cannot be started, ends with a code other than 0, or takes longer than `seconds`.
    """
    name = argv[0]
    with tempfile.TemporaryFile() as printed:
        try:
            supervisor = subprocess.Popen(  # noqa: S603 - the program is named by the author of the spec
                # -P: modules in the folder of the hook must not shadow modules of Python
                [sys.executable, "-P", *SUPERVISOR, str(os.getpid()), *argv],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=printed,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise HookError(f"hook {name!r} cannot be started: {error}") from None
        try:
            replies, _ = supervisor.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(supervisor)
            raise HookError(f"hook {name!r} was killed after {seconds:g} s{_quote_end(printed, redact)}") from None
        except BaseException:
            _end(supervisor)
            raise
        code: int | None = None
        for line in replies.split(b"\n"):
            match get_reply_reader().validate_json(line) if line else None:
                case FailureReply(text=text):
                    raise HookError(f"hook {name!r} cannot be started: {text}")
                case EndReply(code=code):
                    pass
        if code is None:
            raise HookError(f"hook {name!r} was ended by another program{_quote_end(printed, redact)}")
        if code:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise HookError(f"hook {name!r} ended with {how}{_quote_end(printed, redact)}")
        return _read_end(printed, redact)


def _end(supervisor: "subprocess.Popen[bytes]") -> None:
    """Make the supervisor end its child processes, and then itself."""
    supervisor.terminate()
    try:
        supervisor.communicate(timeout=END_LIMIT)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.communicate()


def _quote_end(printed: IO[bytes], redact: Callable[[str], str]) -> str:
    text = _read_end(printed, redact)
    return f": {text}" if text else ""


def _read_end(printed: IO[bytes], redact: Callable[[str], str]) -> str:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - MOST_READ))
    return redact(printed.read().decode("utf-8", "replace"))[-MOST_KEPT:].strip()
