"""Files and folders that a process may not read or write: root may everything, so its processes lose that right."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def find_powerless() -> tuple[str, ...]:
    """Return the program that starts another one without the rights of root; skip the test if there is none."""
    if os.geteuid():
        return ()
    # Without its capabilities even root may only do what the file modes allow.
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    try:
        subprocess.run([*powerless, "true"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("root may read and write everything, and setpriv cannot take that right away here")
    return powerless


@contextmanager
def close_path(path: Path, mode: int = 0) -> Iterator[None]:
    """Give a file or folder a mode, and its own mode again afterwards."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)
