"""What this build costs beside another one, and beside polars when it only reads the file.

    python tests/benchmarks/builds.py OTHER_PYTHON --rows 1_000_000 10_000_000

OTHER_PYTHON has the other build installed: `git worktree add FOLDER d59af94` and an environment of its own for it.
Every task runs in a process of its own, in turns with that of the other build and with the reading. Start it twice: the
first time compiles kernels. Printed are medians of --times turns: wall / CPU seconds of the task without imports (`run`
and `process` are whole processes), the peak of memory with imports, and ratios. `÷ read` is of CPU seconds.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from timing import Cost, alone, cost, machine, memory

HERE = Path(__file__).parent
STORED = 1_000_000
WIDE = (2_000, 5_000)
"""Columns and rows of the wide table."""

SPEC = """\
version: 1
project: wide
datasets:
  reference: {path: reference.parquet}
  batch: {path: batch.parquet}
evaluation_stores:
  drift:
    dataset: batch
    reference: {kind: dataset, dataset: reference}
    checks:
      columns: {metric: drift.*, max: 1}
"""


def compare(profile: str, batch: str, exact: str, times: str) -> dict[str, Any]:
    """Compare a file with a stored profile, several times after a first one."""
    from engine import drift

    reference = drift.Profile.load(Path(profile))
    costs = [cost(lambda: drift.compare(reference, Path(batch), exact=exact == "exact")) for _ in range(int(times) + 1)]
    return {"costs": costs[1:] or costs}


def read(_: str, batch: str, __: str, times: str) -> dict[str, Any]:
    """Read the file as `compare` does, in a process without the engine."""
    from read_limit import read as read_once

    return {"costs": [cost(lambda: read_once(batch)) for _ in range(int(times) + 1)][1:]}


def fit(reference: str) -> dict[str, Any]:
    """Make the profile of a file."""
    from engine import drift

    return {"costs": [cost(lambda: drift.profile(Path(reference))) for _ in range(2)][1:]}


def save(reference: str, profile: str) -> dict[str, Any]:
    """Make the profile of a file, and store it."""
    from engine import drift

    return {"costs": [cost(lambda: drift.profile(Path(reference)).save(Path(profile)))]}


def model(folder: str) -> dict[str, Any]:
    """Tell 100,000 rows from as many others."""
    import polars as pl

    from engine import drift

    reference, batch = (pl.read_parquet(Path(folder) / f"{side}.parquet") for side in ("reference", "batch"))
    roles, _ = drift.roles(reference.lazy())
    found: list[Any] = []

    def tell_apart() -> None:
        found.append(drift.domain_classifier(reference, batch, roles, max_rows=len(reference)))

    return {"costs": [cost(tell_apart) for _ in range(2)][1:], "auc": found[-1].auc}


def run(project: str) -> dict[str, Any]:
    """Run a project whose state is new, as a process."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("project.yaml", "reference.parquet", "batch.parquet"):
            (Path(folder) / name).symlink_to(Path(project).absolute() / name)
        engine = Path(sys.executable).with_name("engine")
        subprocess.run([engine, "run", "project.yaml"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return {"peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


def whole(reference: str, batch: str) -> dict[str, Any]:
    """Profile a file and compare another one with it."""
    from engine import drift

    drift.compare(drift.profile(Path(reference)), Path(batch))
    return {}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task for task in (compare, read, fit, save, model, run, whole)
}


class Figures:
    """The median figures of one task in one build."""

    def __init__(self, runs: list[dict[str, Any]]) -> None:
        costs = [Cost(*one) for each in runs for one in each.get("costs", [(each["process"], each["process_cpu"])])]
        self.wall, self.cpu = (median(part) for part in zip(*costs, strict=True))
        self.peak = median(each["peak"] for each in runs)
        self.auc = runs[0].get("auc")

    def __str__(self) -> str:
        return f"{self.wall:8.3f} /{self.cpu:7.2f} {self.peak:6.0f}"


def in_turns(times: int, tasks: dict[str, tuple[str, str, tuple[object, ...]]]) -> dict[str, Figures]:
    """Run tasks, given by interpreter, name and arguments, one after the other and again."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in tasks}
    for _ in range(times):
        for name, (python, task, arguments) in tasks.items():
            runs[name].append(alone(__file__, "--run", task, *arguments, python=python))
    return {name: Figures(found) for name, found in runs.items()}


def made(folder: Path, side: str, rows: int) -> Path:
    """Return a file of 30 columns, made unless it is there."""
    path = folder / f"{side}_{rows}.parquet"
    if not path.exists():
        how = ("--seed", 1, "--drift", 0.1) if side == "batch" else ("--seed", 0)
        alone(HERE / "data.py", path, "--rows", rows, *how)
    return path


def make_wide(folder: Path) -> Path:
    """Write the project of the wide table."""
    import numpy as np
    import polars as pl

    project = folder / "wide"
    project.mkdir(exist_ok=True)
    (project / "project.yaml").write_text(SPEC)
    columns, rows = WIDE
    for seed, side in enumerate(("reference", "batch")):
        random = np.random.default_rng(seed)
        kinds = (
            lambda random: random.standard_normal(rows),
            lambda random: random.lognormal(0, 1, rows),
            lambda random: random.normal(0, 10, rows).round(1),
            lambda random: random.poisson(5, rows),
            lambda random: pl.Series([f"c{k}" for k in range(20)])[random.integers(0, 20, rows)],
        )
        table = {f"x{i}": kinds[i % len(kinds)](random) for i in range(columns)}
        pl.DataFrame(table).write_parquet(project / f"{side}.parquet")
    return project


def make_model_sides(folder: Path) -> Path:
    """Write both sides of the drift model."""
    from drift_model import make

    sides = folder / "model"
    sides.mkdir(exist_ok=True)
    make(sides, 100_000)
    return sides


def print_row(name: str, found: dict[str, Figures]) -> None:
    """Print the figures of one task."""
    ours, other, limit = found["this"], found["other"], found.get("read")
    ratios = f"{ours.wall / other.wall:8.2f} {ours.cpu / other.cpu:8.2f} {ours.peak / other.peak:8.2f}"
    read_ratio = f"{ours.cpu / limit.cpu:8.2f}" if limit else " " * 8
    auc = f"  AUC {ours.auc:.4f}, {other.auc:.4f}" if ours.auc is not None else ""
    print(f"{name:26} {ours} {other} {ratios} {read_ratio}{auc}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", help="the Python of the other build")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000], help="of the batches")
    parser.add_argument("--times", type=int, default=5, help="turns")
    parser.add_argument("--only", choices=("compare", "fit", "model", "run", "whole"), nargs="*", help="which tasks")
    parser.add_argument("--folder", type=Path, help="where the files are kept; left out, they are made anew")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        print(f"wall / CPU seconds and peak MB; {machine()}")
        head = f"{'this build':>23} {'other build':>23} {'÷ wall':>8} {'÷ CPU':>8} {'÷ peak':>8} {'÷ read':>8}"
        print(f"{'':26} {head}")
        measure(
            folder, chosen.other, chosen.rows, chosen.times, chosen.only or ("compare", "fit", "model", "run", "whole")
        )


def measure(folder: Path, other: str, sizes: list[int], times: int, only: list[str]) -> None:
    """Measure the tasks."""
    pythons = {"this": sys.executable, "other": other}
    reference = made(folder, "reference", STORED)

    def both(task: str, *arguments: object) -> dict[str, tuple[str, str, tuple[object, ...]]]:
        return {name: (python, task, arguments) for name, python in pythons.items()}

    if "compare" in only:
        profiles = {name: folder / f"profile_{name}" for name in pythons}
        in_turns(1, {name: (python, "save", (reference, profiles[name])) for name, python in pythons.items()})
        for rows in sizes:
            batch = made(folder, "batch", rows)
            again = 3 if rows <= STORED else 0  # times of small files are those of a process that has compared before
            for how in ("exact", "once"):
                tasks = {n: (python, "compare", (profiles[n], batch, how, again)) for n, python in pythons.items()}
                limit = {"read": (sys.executable, "read", ("", batch, "", max(again, 1)))}
                print_row(f"compare {rows:,}, {how}", in_turns(times, limit | tasks))
    if "fit" in only:
        print_row(f"profile of {STORED:,} rows", in_turns(times, both("fit", reference)))
    if "model" in only:
        print_row("drift model, 100,000 twice", in_turns(times, both("model", make_model_sides(folder))))
    if "run" in only:
        print_row(f"run, {WIDE[1]:,} x {WIDE[0]:,}", in_turns(times, both("run", make_wide(folder))))
    if "whole" in only:
        print_row(
            f"process, {STORED:,} twice", in_turns(times, both("whole", reference, made(folder, "batch", STORED)))
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        task = TASKS[sys.argv[2]]
        if task is compare or task is fit:
            import engine.drift  # noqa: F401  the time of imports does not count
        found = task(*sys.argv[3:])
        print(json.dumps({"peak": memory()} | found))
    else:
        main()
