"""The command line as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ENGINE = Path(sys.executable).with_name("engine")

Done = subprocess.CompletedProcess[str]
Engine = Callable[..., Done]
"""Calls the command line in the folder of a test."""


def call_engine(folder: Path, *arguments: str | Path, timeout: float = 240, **environ: str) -> Done:
    """Call the command line in a folder, with variables of the environment, and return how it has ended."""
    return subprocess.run(
        [ENGINE, *arguments],
        cwd=folder,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
