"""The running processes that this process has started or adopted."""

import contextlib
import os
from pathlib import Path


def list_children() -> list[int]:
    """Return the process ids of this process's children; none on a system without /proc."""
    own, found = os.getpid(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # proc(5): the name is in parentheses and may contain any character; state and parent follow it.
            state, parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:2]
            if int(parent) == own and state != b"Z":
                found.append(int(folder.name))
    return found


def read_process_name(pid: int) -> str:
    """Return the name of a process with its id, such as `sleep (process 4711)`."""
    name = "a process"
    with contextlib.suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_bytes().decode("utf-8", "backslashreplace").strip()
    return f"{name} (process {pid})"
