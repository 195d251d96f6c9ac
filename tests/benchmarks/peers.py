"""How long a whole drift comparison takes, next to scipy and to the peers that are installed.

    python tests/benchmarks/peers.py --rows 1_000_000 --peer evidently=PYTHON --peer nannyml=PYTHON

PYTHON is the interpreter of an environment in which that peer is installed: they do not share one. Everybody reads the
same two Parquet files (data.py) in a process of its own, in turns. Prints medians of the compute seconds (reading
included, imports not), of the same in CPU seconds, the whole process, the peak memory, and the compute seconds divided
by the engine's.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from timing import alone, machine

HERE = Path(__file__).parent
QUIET = {"PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
"""Nobody waits for a server that counts users."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows a side")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    chosen = parser.parse_args()
    pythons = {"engine": sys.executable, "scipy": sys.executable}
    pythons |= dict(peer.split("=", 1) for peer in chosen.peer)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as folder:
        sides = Path(folder) / "reference.parquet", Path(folder) / "batch.parquet"
        for seed, side in enumerate(sides):
            alone(HERE / "data.py", side, "--rows", chosen.rows, "--seed", seed, "--drift", 0.1 * seed)
        alone(HERE / "contenders.py", "engine", *sides)  # its kernels are compiled once
        print(
            f"{chosen.rows:,} rows a side, 20 numerical and 10 categorical columns, medians of {chosen.times};",
            machine(),
        )
        for _ in range(chosen.times):
            for name, python in pythons.items():
                found[name].append(alone(HERE / "contenders.py", name, *sides, python=python, **QUIET))
                print(f"{name} {found[name][-1]['compute']:.2f} s", file=sys.stderr)  # some take minutes
    ours = median(run["compute"] for run in found["engine"])
    print(f"\n{'':12} {'compute s':>10} {'CPU s':>8} {'process s':>10} {'peak MB':>8} {'÷ engine':>9}  computed")
    for name, runs in found.items():
        compute, cpu, process, peak = (
            median(run[key] for run in runs) for key in ("compute", "cpu", "process", "peak")
        )
        row = f"{name:12} {compute:10.2f} {cpu:8.2f} {process:10.2f} {peak:8.0f} {compute / ours:9.1f}"
        print(f"{row}  {runs[0]['what']}")


if __name__ == "__main__":
    main()
