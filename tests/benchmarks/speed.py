"""How fast a comparison is, as a multiple of what it cannot do without: to read the file, to sort the column.

    python tests/benchmarks/speed.py --rows 1_000_000 10_000_000

First files against a stored profile of a million rows: seconds of `compare(profile, path)`, every figure exact, then of
files read once, where figures may have bounds; and of polars when all it does is read every column, in a process of its
own (`read_limit.py`). Then one column in memory: the
comparison with a ready profile, numpy's sort of the batch, and scipy's KS and Wasserstein functions (once, and only of
the first size: they take a hundred times as long); ratios are of CPU seconds. Then all of it in a new process: imports,
the profile of a reference of as many rows, and the comparison.

Medians of --times runs in turns, kernels compiled; seconds are wall / CPU of both cores.
"""

import engine  # isort: skip  # before numpy, which then uses what is fast on this processor

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from read_limit import ReadLimit
from scipy import stats
from timing import Cost, alone, cost, in_turns, machine

from engine import drift

HERE = Path(__file__).parent
STORED = 1_000_000


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000], help="of the batches")
    parser.add_argument("--times", type=int, default=5, help="how often each is measured")
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS, help="which tables")
    parser.add_argument("--folder", type=Path, help="where the files are kept; left out, they are made anew")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        print("seconds, wall / CPU;", machine(), "engine", engine.__version__)
        for name in chosen.only:
            PARTS[name](folder, chosen.rows, chosen.times)


def file(folder: Path, rows: int, side: str) -> Path:
    """Return the file of a reference or of a batch that has drifted, made unless it is there."""
    path = folder / f"{side}_{rows}.parquet"
    if not path.exists():
        how = ("--seed", 1, "--drift", 0.1) if side == "batch" else ("--seed", 0)
        alone(HERE / "data.py", path, "--rows", rows, *how)
    return path


def files(folder: Path, sizes: list[int], times: int) -> None:
    """Compare files with a stored profile."""
    drift.profile(file(folder, STORED, "reference")).save(folder / "profile")
    reference = drift.Profile.load(folder / "profile")
    first = cost(lambda: drift.compare(reference, file(folder, STORED, "batch"))).wall
    print(f"\na file against a stored profile of {STORED:,} rows, 30 columns; the first comparison took {first:.2f} s")
    print(f"{'rows':>12} {'':6} {'read':>15} {'compare':>15} {'÷ read':>9} {'÷ its CPU':>9}")
    for rows in sizes:
        path = file(folder, rows, "batch")
        with ReadLimit(path) as read:
            tasks: dict[str, Callable[[], object]] = {
                "read": read,
                "exact": lambda path=path: drift.compare(reference, path),
                "once": lambda path=path: drift.compare(reference, path, exact=False),
            }
            found = in_turns(times, tasks)
        limit = found["read"]
        for name in ("exact", "once"):
            ours = found[name]
            ratios = f"{ours.wall / limit.wall:9.2f} {ours.cpu / limit.cpu:9.2f}"
            print(f"{rows:12,} {name:>6} {shown(limit)} {shown(ours)} {ratios}", flush=True)


def columns(_: Path, sizes: list[int], times: int) -> None:
    """Compare single columns in memory with a ready profile."""
    print("\none column in memory against a profile of as many rows")
    print(f"{'column':14} {'rows':>12} {'sort':>15} {'engine':>15} {'÷ sort':>9} {'scipy':>15} {'÷ engine':>9}")
    shapes: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
        "normal": lambda random, n: random.standard_normal(n),
        "lognormal": lambda random, n: random.lognormal(0, 1, n),
        "tied integers": lambda random, n: random.poisson(5, n),
        "rounded": lambda random, n: random.normal(0, 10, n).round(1),
        "zero-inflated": lambda random, n: np.where(random.random(n) < 0.7, 0, random.standard_exponential(n)),
    }
    for rows in sizes:
        for name, draw in shapes.items():
            before, now = (draw(np.random.default_rng(seed), rows) for seed in (0, 1))
            reference = drift.profile(pl.DataFrame({"x": before}), {"x": drift.Role.NUMERICAL})
            batch = pl.DataFrame({"x": now})
            tasks: dict[str, Callable[[], object]] = {
                "sort": lambda now=now: np.sort(now),
                "engine": lambda reference=reference, batch=batch: drift.compare(reference, batch),
            }
            drift.compare(reference, batch)  # makes what the profile makes once
            found = in_turns(times, tasks)
            sort, ours = found["sort"], found["engine"]
            row = f"{name:14} {rows:12,} {shown(sort)} {shown(ours)} {ours.cpu / sort.cpu:9.2f}"
            if rows == sizes[0]:
                scipy = cost(lambda a=before, b=now: (stats.ks_2samp(a, b), stats.wasserstein_distance(a, b)))
                row += f" {shown(scipy)} {scipy.cpu / ours.cpu:9.1f}"
            print(row, flush=True)


def whole(folder: Path, sizes: list[int], times: int) -> None:
    """Profile a reference and compare a batch of as many rows, in new processes."""
    print("\na whole process: imports, reference and batch read, everything compared")
    print(f"{'rows a side':>12} {'computing':>15} {'all of it':>15} {'peak MB':>9}")
    for rows in sizes:
        sides = file(folder, rows, "reference"), file(folder, rows, "batch")
        runs = [alone(HERE / "contenders.py", "engine", *sides) for _ in range(times)]
        wall, cpu, process, process_cpu, peak = (
            float(np.median([run[key] for run in runs])) for key in ("compute", "cpu", "process", "process_cpu", "peak")
        )
        print(f"{rows:12,} {shown(Cost(wall, cpu))} {shown(Cost(process, process_cpu))} {peak:9.0f}", flush=True)


def shown(found: Cost) -> str:
    """Write a cost in 15 characters."""
    return f"{found.wall:7.3f} /{found.cpu:6.2f}"


PARTS = {"files": files, "columns": columns, "whole": whole}

if __name__ == "__main__":
    main()
