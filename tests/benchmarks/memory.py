"""How much memory and time a comparison takes as files grow from one to 100 million rows, and to 2,000 columns.

    python tests/benchmarks/memory.py --rows 1_000_000 10_000_000 100_000_000

Each figure is of a new process, whose kernels are compiled: `peak MB` includes Python and its libraries, `imported`
says how much of it they are. Seconds are wall / CPU and do not include imports. `growth` is the CPU seconds divided by
those of the row above: as many times as there are more rows, if cost is linear. The 100 million rows need 10 GB of
disk and minutes to write: left out unless asked for. Of wide tables, `CPU ms a column` should be that of a narrow one
of as many rows, and next to nothing where there are next to no rows.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from timing import Cost, alone, cost, machine, memory

HERE = Path(__file__).parent
WIDE = 2_000
DEEP = 100_000


def compare(profile: Path, batch: Path) -> Cost:
    """Compare a file with a stored profile."""
    from engine import drift

    reference = drift.Profile.load(profile)
    return cost(lambda: drift.compare(reference, batch))


def profile(data: Path, path: Path) -> Cost:
    """Profile a file as a reference, and store it."""
    from engine import drift

    return cost(lambda: drift.profile(data).save(path))


def sample(data: Path) -> Cost:
    """Draw 100,000 rows of a file."""
    import polars as pl

    from engine import drift

    frame = pl.scan_parquet(data)
    return cost(lambda: drift.sample(frame, frame.collect_schema().names(), 100_000))


def imported() -> Cost:
    """Do nothing: what the libraries take."""
    return Cost(0.0, 0.0)


def numbers(path: Path, columns: int, rows: int, seed: int) -> Cost:
    """Write a table of that many numerical columns: five kinds, each again and again, moved."""
    import polars as pl
    from data import table

    kinds = table(rows, seed).select("normal", "lognormal", "rounded", "tied_i64", "zeros_nulls").lazy()
    kinds.select((pl.all() + i).name.suffix(f"_{i}") for i in range(columns // 5)).sink_parquet(path)
    return Cost(0.0, 0.0)


def main() -> None:
    """Measure and print the tables, or run one task."""
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000], help="of the files")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured; the median counts")
    parser.add_argument("--folder", type=Path, help="where the files are kept; left out, they are made anew")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        print("a process each;", machine(), "\n")
        print(f"{'':42} {'peak MB':>8} {'wall s':>8} {'CPU s':>8} {'growth':>7}")
        libraries = measured(chosen.times, imported)
        row("imported", libraries)
        stored = folder / "profile"
        measured(1, profile, made(folder, 1_000_000, 0), stored)
        for what, before in (("compare", [stored]), ("sample", []), ("profile", [])):
            last = None
            for rows in chosen.rows:
                arguments = [*before, made(folder, rows, 1), *([folder / "unused"] if what == "profile" else [])]
                found = measured(chosen.times, TASKS[what], *arguments)
                row(f"{what} {rows:,} x 30", found, f"{found['cpu'] / last['cpu']:7.1f}" if last else "")
                last = found
        wide(folder, chosen.times)


def wide(folder: Path, times: int) -> None:
    """Compare many columns of few and of many rows."""
    print(f"\n{'':42} {'peak MB':>8} {'wall s':>8} {'CPU s':>8} {'CPU ms a column':>16}")
    for columns, rows in ((20, DEEP), (WIDE, DEEP), (WIDE, 100)):
        sides = [folder / f"{side}_{rows}x{columns}.parquet" for side in ("reference", "batch")]
        for seed, side in enumerate(sides):
            if not side.exists():
                measured(1, numbers, side, columns, rows, seed)
        measured(1, profile, sides[0], folder / "wide")
        found = measured(times, compare, folder / "wide", sides[1])
        row(f"compare {rows:,} x {columns:,}", found, f"{1000 * found['cpu'] / columns:16.2f}")


def made(folder: Path, rows: int, seed: int) -> Path:
    """Return a file, made unless it is there."""
    path = folder / f"{('reference', 'batch')[seed]}_{rows}.parquet"
    if not path.exists():
        alone(HERE / "data.py", path, "--rows", rows, "--seed", seed, "--drift", 0.1 * seed)
    return path


def measured(times: int, task: Callable[..., Cost], *arguments: object) -> dict[str, Any]:
    """Run a task in processes of their own; return the one of median CPU seconds."""
    runs = [alone(__file__, "--run", task.__name__, *arguments) for _ in range(times)]
    return sorted(runs, key=lambda one: float(one["cpu"]))[times // 2]


def run(name: str, *arguments: str) -> None:
    """Run one task and print what it took as JSON."""
    import engine.drift.comparison  # noqa: F401  the time of imports does not count

    found = TASKS[name](*(int(each) if each.isdigit() else Path(each) for each in arguments))
    print(json.dumps({"wall": found.wall, "cpu": found.cpu, "peak": memory()}))


def row(name: str, found: dict[str, Any], last: str = "") -> None:
    """Print one line."""
    print(f"{name:42} {found['peak']:8.0f} {found['wall']:8.2f} {found['cpu']:8.2f} {last}", flush=True)


TASKS: dict[str, Callable[..., Cost]] = {task.__name__: task for task in (compare, profile, sample, imported, numbers)}

if __name__ == "__main__":
    main()
