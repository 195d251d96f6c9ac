"""How long `engine watch` takes from a save to its result, compared with a fresh `engine run` of the same change.

    python tests/benchmarks/watch_loop.py --times 10

Each turn changes this week's orders of `hello_drift` (a Parquet file with other rows), or a limit of its spec, in two
folders: one is watched, and in the other `engine run` is started. The seconds of both are taken one after the other,
so that other work on the machine meets both alike; a turn begins when the watch has been idle for a while, as it is
when people save. The waiting for the file to settle (0.3 s) counts. The last line has the medians of the ratios.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import polars as pl
from timing import machine

SPECS = Path(__file__).parents[2] / "specs"
ENGINE = [sys.executable, "-m", "engine"]
IDLE_SECONDS = 1.0


def copy_example(folder: Path) -> Path:
    """Copy hello_drift into a folder."""
    folder.mkdir()
    shutil.copy(SPECS / "hello_drift.yaml", folder)
    shutil.copytree(SPECS / "hello_drift", folder / "hello_drift")
    return folder


def change_data(folder: Path, turn: int) -> None:
    """Write other rows of this week's orders."""
    rows = pl.read_parquet(SPECS / "hello_drift" / "2026-W07.parquet")
    rows.head(rows.height - 1 - turn).write_parquet(folder / "hello_drift" / "2026-W07.parquet")


def change_limit(folder: Path, turn: int) -> None:
    """Write another limit of a check."""
    text = (SPECS / "hello_drift.yaml").read_text().replace("soft_max: 0.55", f"soft_max: {0.56 + turn / 1000}")
    (folder / "hello_drift.yaml").write_text(text)


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds of a process and of all that it has started."""
    total, parents = 0.0, {root}
    for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.name) == root or int(fields[1]) in parents:
            parents.add(int(path.name))
            total += (int(fields[11]) + int(fields[12])) / 100
    return total


def wait_until_idle(root: int) -> None:
    """Wait until the watch and its processes have used almost no CPU for a while."""
    before = -1.0
    while (now := cpu_seconds(root)) - before > 0.05:
        before = now
        time.sleep(IDLE_SECONDS)


def main() -> None:
    """Print a line per turn, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=10, help="turns of each kind of change")
    chosen = parser.parse_args()
    print(machine(), "\n")
    kinds: dict[str, Callable[[Path, int], None]] = {"data": change_data, "limit": change_limit}
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as temporary:
        watched, fresh = copy_example(Path(temporary, "watched")), copy_example(Path(temporary, "fresh"))
        run = [*ENGINE, "run", "hello_drift.yaml", "--format", "json"]
        subprocess.run(run, cwd=fresh, capture_output=True, check=False)
        command = [*ENGINE, "watch", "hello_drift.yaml", "--format", "json"]
        with subprocess.Popen(command, cwd=watched, stdout=subprocess.PIPE, text=True) as watch:
            assert watch.stdout is not None
            watch.stdout.readline()
            for turn in range(chosen.times):
                for kind, change in kinds.items():
                    wait_until_idle(watch.pid)
                    began = time.perf_counter()
                    change(watched, turn)
                    result = json.loads(watch.stdout.readline())
                    seconds = time.perf_counter() - began
                    wait_until_idle(watch.pid)
                    began = time.perf_counter()
                    change(fresh, turn)
                    subprocess.run(run, cwd=fresh, capture_output=True, check=False)
                    alone = time.perf_counter() - began
                    ratios[kind].append(seconds / alone)
                    told = f"{kind:6} {result['outcome']:8} watch {seconds:6.2f} s  run {alone:6.2f} s"
                    print(f"{told}  {seconds / alone:.2f}", flush=True)
            watch.terminate()
    print("\nmedian of watch / run:", ", ".join(f"{kind} {median(found):.2f}" for kind, found in ratios.items()))


if __name__ == "__main__":
    main()
