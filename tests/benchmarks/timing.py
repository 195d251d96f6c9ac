"""What something costs: wall and CPU seconds in turns with what it is compared to, or all of a process of its own.

Other work on the machine comes and goes: only things measured in turns can be divided by each other, and CPU seconds
show where the wall clock waited. Peak memory never goes down, so each figure of it takes a new process.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any, NamedTuple


class Cost(NamedTuple):
    """Seconds; `cpu` is of all threads."""

    wall: float
    cpu: float


def cost(task: Callable[[], object]) -> Cost:
    """Run a task once; one that returns its cost has measured it in another process."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = task()
    if isinstance(found, Cost):
        return found
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def in_turns(times: int, tasks: Mapping[str, Callable[[], object]]) -> dict[str, Cost]:
    """Run every task so many times, one after the other and again; return medians."""
    found: dict[str, list[Cost]] = {name: [] for name in tasks}
    for _ in range(times):
        for name, task in tasks.items():
            found[name].append(cost(task))
    return {name: Cost(*map(median, zip(*costs, strict=True))) for name, costs in found.items()}


def alone(*command: object, python: str = sys.executable, **environment: str) -> dict[str, Any]:
    """Run a script in a new process; return the JSON it prints last and its seconds, `process` and `process_cpu`."""
    wall, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    # what is started by a large process counts that one's memory as its own peak: so have the caller import little
    done = subprocess.run(
        [python, *map(str, command)], check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    wall, after = time.perf_counter() - wall, getrusage(RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    printed = done.stdout.strip().splitlines()
    answer: dict[str, Any] = json.loads(printed[-1]) if printed else {}
    return answer | {"process": wall, "process_cpu": cpu}


def memory(what: str = "VmHWM") -> float:
    """Return the MB of memory that this process has had at most, or with "VmRSS" has now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024


def machine() -> str:
    """Say on what, and how busy it is."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
