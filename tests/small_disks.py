"""Disks that are soon full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def mount_small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory at a folder, which is made, with options such as `size=3m`.

    Skips the test where that is not allowed: only root may, and not in every container.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_disk(path: Path, leave: int = 0) -> Path:
    """Write a file until its disk is full, give back as many bytes as are to be left, and return the path."""
    with path.open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        file.truncate(max(0, file.tell() - leave))
    return path
