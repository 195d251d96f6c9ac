"""What the first run on a machine costs beyond later ones: CPU seconds with an empty kernel cache and with a full one.

    python tests/benchmarks/cold_start.py
    python tests/benchmarks/cold_start.py --against /path/to/another/venv/bin/python

A spec is copied with its data functions to a fresh folder, and a new process runs `engine run` there. `cold` starts
with an empty cache, `warm` with what the cold run has left there; both compute everything. `compiling` is their
difference. `import` imports what compares, `first` compares two small frames, `drift model` trains once. With
--against another build's interpreter runs in turns with this one; `ratio` is cold by its cold, warm by its warm.
Medians of --times runs; user and system time of the whole process.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from timing import alone, machine

HERE = Path(__file__).parent
SPECS = HERE.parents[1] / "specs"

FRAMES = f"import sys; sys.path.insert(0, {str(HERE)!r}); from data import table; from engine import drift; "
CODE = {
    "import": "import engine.drift.comparison",
    "first": FRAMES + "drift.compare(drift.profile(table(1_000)), table(1_000, 1, 0.3))",
    "drift model": FRAMES
    + "before = table(2_000); drift.domain_classifier(before, table(2_000, 1, 0.3), drift.roles(before.lazy())[0])",
    "hello_drift": "",
    "card_fraud": "",
}
RUN = """
import os, sys
os.chdir(sys.argv[1])
for descriptor in (1, 2):
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
sys.argv = ["engine", "run", sys.argv[2]]
from engine.cli.main import main
try:
    main()
except SystemExit as ended:
    os._exit(2 if ended.code not in (0, 1) else 0)  # 1: a check failed, as it is meant to
"""


def seconds(python: str, name: str, cache: str) -> float:
    """Return the CPU seconds of one process with this folder of compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        # -P: the engine of that interpreter, not the one in the current folder
        command: tuple[object, ...] = ("-P", "-c", CODE[name])
        if not CODE[name]:
            shutil.copytree(SPECS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".engine", "outbox"))
            command = ("-P", "-c", RUN, folder, f"{name}.yaml")
        cost: float = alone(*command, python=python, XDG_CACHE_HOME=cache, NUMBA_CACHE_DIR="")["process_cpu"]
        return cost


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=3, help="how often each is measured")
    parser.add_argument("--against", metavar="PYTHON", help="the interpreter of another build")
    parser.add_argument("--only", choices=CODE, nargs="*", default=list(CODE), help="what to measure")
    chosen = parser.parse_args()
    builds = [sys.executable, *([chosen.against] if chosen.against else [])]
    print("CPU seconds;", machine())
    for python in builds[1:]:
        print("against", python)
    other = f"{'cold':>9} {'warm':>7} {'compiling':>9} {'ratio':>11}" if chosen.against else ""
    print(f"{'':12} {'cold':>7} {'warm':>7} {'compiling':>9} {other}")
    for name in chosen.only:
        runs: list[tuple[list[float], list[float]]] = [([], []) for _ in builds]
        for _ in range(chosen.times):
            for python, (cold, warm) in zip(builds, runs, strict=True):
                with tempfile.TemporaryDirectory() as cache:
                    cold.append(seconds(python, name, cache))
                    warm.append(seconds(python, name, cache))
        figures = [(median(cold), median(warm)) for cold, warm in runs]
        row = [f"{cold:7.2f} {warm:7.2f} {cold - warm:9.2f}" for cold, warm in figures]
        if chosen.against:
            (cold, warm), (its_cold, its_warm) = figures
            row.append(f"{cold / its_cold:5.2f} {warm / its_warm:5.2f}")
        print(f"{name:12} {'  '.join(row)}", flush=True)


if __name__ == "__main__":
    main()
