"""Runs the programs around an update, and kills each with all that it has started when its time is over."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from engine.errors import EngineError

MOST_TOLD = 4000
"""Characters of what a hook has printed that are kept: the last ones."""


class HookError(EngineError):
    """A program that runs around an update has failed."""


def run_hook(argv: Sequence[str], seconds: float, folder: Path, environ: Mapping[str, str]) -> str:
    """Run a program and return the end of what it has printed.

    What it has left running when it ends is killed too, as long as that has stayed in its process group.

    Raises
    ------
    HookError
        It cannot be started, ends with another code than 0, or takes longer than `seconds`.
    """
    name = argv[0]
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(  # noqa: S603 - the program is named by the author of the spec
                list(argv),
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise HookError(f"hook {name!r} cannot be started: {error}") from None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise HookError(f"hook {name!r} was killed after {seconds:g} s{_quote_end(printed)}") from None
        except BaseException:
            _kill_group(process)
            raise
        _kill_group(process)
        if code:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise HookError(f"hook {name!r} ended with {how}{_quote_end(printed)}")
        return _read_end(printed)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _quote_end(printed: IO[bytes]) -> str:
    text = _read_end(printed)
    return f": {text}" if text else ""


def _read_end(printed: IO[bytes]) -> str:
    size = printed.seek(0, os.SEEK_END)
    printed.seek(max(0, size - 4 * MOST_TOLD))
    return printed.read().decode("utf-8", "replace")[-MOST_TOLD:].strip()
