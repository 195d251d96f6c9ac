"""Explains why the process of a run has ended without a result, from its exit code and kills for lack of memory."""

import signal
from pathlib import Path

from engine.scenarios.process import SIGNAL_MEANINGS

GROUPS = Path("/sys/fs/cgroup")


def count_memory_kills(table: Path = Path("/proc/self/cgroup"), groups: Path = GROUPS) -> int | None:
    """Return how many processes of this process's control group the kernel has killed for lack of memory.

    None on a system without control groups; see cgroups(7): `memory.events` of version 2, `memory.oom_control` of 1.
    """
    try:
        lines = [line.split(":", 2) for line in table.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return None
    for _, controllers, path in sorted(lines, key=lambda line: line[1] == ""):
        name = path.strip("/")
        files = [groups / name / "memory.events", groups / "memory.events"]
        if "memory" in controllers.split(","):
            files = [groups / "memory" / name / "memory.oom_control", groups / "memory" / "memory.oom_control"]
        elif controllers:
            continue
        for file in files:
            count = _read_count(file)
            if count is not None:
                return count
    return None


def _read_count(file: Path) -> int | None:
    try:
        words = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    return next((int(pair[1]) for pair in words if len(pair) == 2 and pair[0] == "oom_kill"), None)


def describe_process_end(code: int | None, *, memory_killed: bool) -> str:
    """Return how a process has ended.

    `code` is its return code as in `subprocess`, None if another program ended it. `memory_killed` says whether the
    kernel has killed a process of the control group for lack of memory meanwhile.
    """
    if code is None:
        return "another program ended its process"
    if code >= 0:
        return f"its process ended with exit code {code}"
    meaning = SIGNAL_MEANINGS.get(signal.Signals(-code), "")
    if -code == signal.SIGKILL and memory_killed:
        meaning = "out of memory: the kernel killed a process of this group meanwhile"
    return f"its process was killed by signal {-code}{f' ({meaning})' if meaning else ''}"
