"""What `engine` prints of a project of three weeks, also on a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Said(NamedTuple):
    code: int
    out: str
    err: str


Engine = Callable[..., Said]


def run_on_a_terminal(folder: Path, width: int, *arguments: str, answer: str = "") -> str:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [Path(sys.executable).with_name("engine"), *arguments],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"COLUMNS": str(width), "TERM": "xterm"},
    ) as process:
        os.close(slave)
        os.write(master, answer.encode())
        told = b""
        while chunk := _read(master):
            told += chunk
        process.wait(timeout=60)
    os.close(master)
    return told.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other side has closed
        return b""
