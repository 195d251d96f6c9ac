"""Whether a process that compares small batches for days grows, and what one such comparison costs.

    python tests/benchmarks/long_process.py --times 86_400

A day of a batch a second, against one profile, in one process: 200 rows of 6 columns, of which one is of text that
never comes again and one of categories of which some are new in every batch. Every tenth of the day is a line: the ms
of a comparison, wall / CPU, for frames in memory and for Parquet files written anew, and the memory of the process.
The first tenth settles caches; `a day` is the growth after it, per 86,400 comparisons. Threads and open files should
stay as many as they are.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from timing import Cost, cost, machine, memory

from engine import drift

DAY = 86_400
ROWS = 200
ROLES = dict.fromkeys(["normal", "zeros", "tied"], drift.Role.NUMERICAL)
ROLES |= dict.fromkeys(["text", "category", "flag"], drift.Role.CATEGORICAL)


def table(rows: int, seed: int) -> pl.DataFrame:
    """Return rows whose texts no other seed has."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "normal": random.standard_normal(rows),
            "zeros": np.where(random.random(rows) < 0.7, 0.0, random.standard_exponential(rows)),
            "tied": random.poisson(5, rows),
            "text": [f"order {seed} of customer {i}" for i in range(rows)],
            "category": [f"value {i}" for i in random.integers(0, 20 + seed % 5000, rows)],
            "flag": random.random(rows) < 0.1,
        }
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=8_640, help="comparisons; a day has 86,400")
    parser.add_argument("--rows", type=int, default=10_000, help="of the reference")
    chosen = parser.parse_args()
    reference = drift.profile(table(chosen.rows, 0), ROLES)
    tenth = max(2, chosen.times // 10)
    print(f"{tenth:,} comparisons a line, every other of a file;", machine(), "\n")
    print(f"{'compared':>9} {'ms of a frame':>17} {'ms of a file':>17} {'memory MB':>10} {'threads':>8} {'files':>6}")
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        for done in range(tenth, 10 * tenth + 1, tenth):
            costs: tuple[list[Cost], list[Cost]] = ([], [])
            for seed in range(done - tenth, done):
                batch: pl.DataFrame | Path = table(ROWS, seed + 1)
                if seed % 2:
                    path = Path(folder) / f"{time.time_ns()}.parquet"
                    batch.write_parquet(path)
                    batch = path
                costs[seed % 2].append(cost(lambda batch=batch: drift.compare(reference, batch)))
                if isinstance(batch, Path):
                    batch.unlink()
            sizes.append(memory("VmRSS"))
            ms = [f"{1000 * wall:8.2f} /{1000 * cpu:7.2f}" for wall, cpu in (np.median(some, axis=0) for some in costs)]
            threads, files = (len(list(Path("/proc/self", of).iterdir())) for of in ("task", "fd"))
            print(f"{done:9,} {ms[0]} {ms[1]} {sizes[-1]:10.1f} {threads:8} {files:6}", flush=True)
    slope = np.polyfit(np.arange(1, len(sizes)) * tenth, sizes[1:], 1)[0]
    print(f"\ngrowth after the first tenth: {slope * 10_000:.2f} MB per 10,000 comparisons, {slope * DAY:.1f} MB a day")


if __name__ == "__main__":
    main()
