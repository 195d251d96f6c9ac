"""How long a new process waits before it has compared anything: imports, kernels compiled or loaded, the first frame.

    python tests/benchmarks/cold_start.py

`empty` is the first run of a user: nothing in numba's cache, every kernel is compiled. `warm` finds them there. `light`
imports what a run needs that finds nothing changed: no kernels. `drift_model` is the domain classifier's first use.
Each is a new process of --times; medians, wall / CPU. `compiled` is what the empty cache costs.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from statistics import median
from typing import Any

from timing import alone, cost, machine


def light() -> None:
    """Import what is needed to find the roles of columns."""
    import engine.drift  # noqa: F401


def kernels() -> None:
    """Import what compares."""
    import engine.drift.drift  # noqa: F401


def first() -> None:
    """Compare two small frames."""
    from data import table

    from engine import drift

    drift.compare(drift.profile(table(1_000)), table(1_000, 1, 0.3))


def drift_model() -> None:
    """Tell two small frames apart."""
    from data import table

    from engine import drift

    before, now = table(2_000), table(2_000, 1, 0.3)
    drift.domain_classifier(before, now, drift.roles(before.lazy())[0])


TASKS: dict[str, Callable[[], None]] = {task.__name__: task for task in (light, kernels, first, drift_model)}


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["--run"]:
        import polars  # noqa: F401  only what comes on top is ours

        found = cost(TASKS[sys.argv[2]])
        print(json.dumps({"wall": found.wall, "cpu": found.cpu}))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=3, help="how often each is measured")
    times = parser.parse_args().times
    print("seconds, wall / CPU, beyond those of polars;", machine(), "\n")
    print(f"{'':14} {'empty':>15} {'warm':>15} {'whole process':>15} {'compiled':>9}")
    for name in TASKS:
        runs: dict[str, list[dict[str, Any]]] = {"empty": [], "warm": []}
        for _ in range(times):
            with tempfile.TemporaryDirectory() as cache:
                for done in runs.values():
                    done.append(alone(__file__, "--run", name, XDG_CACHE_HOME=cache, NUMBA_CACHE_DIR=""))
        figures = {state: {key: median(run[key] for run in each) for key in each[0]} for state, each in runs.items()}
        empty, warm = figures["empty"], figures["warm"]
        pairs = [(empty["wall"], empty["cpu"]), (warm["wall"], warm["cpu"]), (warm["process"], warm["process_cpu"])]
        compiled = empty["cpu"] - warm["cpu"]
        print(f"{name:14} {' '.join(f'{wall:7.2f} /{cpu:6.2f}' for wall, cpu in pairs)} {compiled:9.2f}", flush=True)


if __name__ == "__main__":
    main()
