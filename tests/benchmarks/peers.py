"""How long a whole drift comparison takes, next to scipy and to the peers that are installed.

    python tests/benchmarks/peers.py --peer evidently=PYTHON --peer nannyml=PYTHON

PYTHON is the interpreter of an environment in which that peer is installed: they do not share one. Reads the same two
Parquet files in a process of its own for each contender, in turns, and prints the median of the compute seconds
(reading included, imports not), the whole process, the peak memory, and each time divided by the engine's.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CONTENDERS = Path(__file__).with_name("contenders.py")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows a side")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    chosen = parser.parse_args()
    pythons = {"engine": sys.executable, "scipy": sys.executable}
    pythons |= dict(peer.split("=", 1) for peer in chosen.peer)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as folder:
        ask(sys.executable, "make", str(chosen.rows), folder)
        ask(pythons["engine"], "engine", folder)  # its kernels are compiled once
        for _ in range(chosen.times):
            for name, python in pythons.items():
                found[name].append(ask(python, name, folder))
    ours = statistics.median(run["compute"] for run in found["engine"])
    print(f"{chosen.rows:,} rows a side, 20 numerical and 10 categorical columns, medians of {chosen.times}\n")
    print(f"{'':12} {'compute s':>10} {'process s':>10} {'peak MB':>8} {'÷ engine':>9}  computed")
    for name, runs in found.items():
        compute, process, peak = (statistics.median(run[key] for run in runs) for key in ("compute", "process", "peak"))
        print(f"{name:12} {compute:10.2f} {process:10.2f} {peak:8.0f} {compute / ours:9.1f}  {runs[0]['what']}")


def ask(python: str, *arguments: str) -> dict[str, float]:
    """Run one contender in a process and return what it measured of itself."""
    done = subprocess.run([python, CONTENDERS, *arguments], check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
