"""What looking back costs in a state of 100 evaluations, and in one of 100,000: both in turns, and divided.

`.venv/bin/python tests/benchmarks/store_growth.py [--few 100] [--many 100000] [--times 21] [--folder FOLDER]`. Looking
one thing up must not cost more because others are kept, so each ratio should be at most 1.3. The states are straight
inserts by the store's own tables: evaluations of 30 columns with their metrics, the results of two checks, and a run
with its steps, each. The details of the last 30, which are opened, are as wide as real ones (36 kB); those of the
others are small, or a state would have gigabytes.
"""

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert
from timing import cost, in_turns, machine

import engine
from engine.cli import main
from engine.store import Store
from engine.store.tables import (
    check_results,
    dataset_measurements,
    dataset_metrics,
    evaluation_details,
    evaluation_metrics,
    evaluations,
    run_steps,
    runs,
)

SPEC = """\
version: 1
project: grown
datasets:
  batch: {path: batch.csv}
evaluation_stores:
  mes:
    dataset: batch
    reference: {kind: rolling, last: 3}
    checks:
      drift is low: {metric: data_drift, soft_max: 0.2}
      every column: {metric: drift.*, max: 0.9}
"""
ENGINE = Path(sys.executable).with_name("engine")
COLUMNS = [f"column_{number:02}" for number in range(30)]
OPENED = 30
"""Evaluations, the newest, whose details are as wide as real ones."""
BINS = 42
"""Bins of a histogram, of which a column with real details has two: 30 columns are then 36 kB."""
METRICS = ["data_drift", "drifted_columns", "row_count", *(f"drift.{column}" for column in COLUMNS)]
PER_STATEMENT = 2_000
PROCESS_SHARE = 4
"""Processes are started this many times more seldom than what is measured in this process."""
FIRST = datetime(2020, 1, 1, tzinfo=UTC)


def make_state(folder: Path, count: int) -> None:
    """Write a project with a state of so many evaluations into `folder`."""
    folder.mkdir()
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "batch.csv").write_text("column_00\n1\n")
    random = np.random.default_rng(0)
    with Store.open(folder / ".engine" / "grown") as store:
        for first in range(0, count, PER_STATEMENT):
            numbers = range(first, min(first + PER_STATEMENT, count))
            with store.database.begin_write() as connection:
                for table, make_rows in TABLES.items():
                    rows = [row for number in numbers for row in make_rows(number, count, random)]
                    connection.execute(insert(table), rows)


def make_id(number: int) -> str:
    return f"{FIRST + timedelta(minutes=number):%Y%m%d-%H%M%S-%f}-{number * 2654435761 % 2**32:08x}"


def _evaluation_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    fingerprints = {f"{part}_fingerprint": f"{part}{number:028}" for part in ("model", "reference", "parameters")}
    yield {
        "number": number + 1,
        "id": make_id(number),
        "store": "mes",
        "name": f"batch {number}",
        "labels": {"day": f"{number % 7}"},
        "created": FIRST + timedelta(minutes=number),
        **fingerprints,
        "dataset_fingerprint": f"dataset{number:025}",
        "engine_version": "1.0.0",
        "kernel_version": "1",
        "rows_read": 10_000,
        "rows_used": 10_000,
        "reference_rows": 30_000,
        "notes": [],
        "run": make_id(number),
        "short_id": make_id(number).rpartition("-")[2],
    }


def _detail_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    bins = BINS if number >= count - OPENED else 0
    columns = {column: make_column(bins, random) for column in (COLUMNS if bins else COLUMNS[:1])}
    facts = {"spec": {"store": {}}, "datasets": {"batch": f"{number}"}, "code": {}, "versions": {"kernel": "1"}}
    parts: dict[str, Any] = {"left_out": {}, "importance": {}, "prediction": {}, "performance": {}}
    yield {"evaluation": number + 1, "facts": facts, **parts, "columns": columns}


def make_column(bins: int, random: np.random.Generator) -> dict[str, Any]:
    """Return the details of a numerical column."""
    statistics = ["psi", "mean", "reference_mean", "std", "reference_std", "missing_share", "reference_missing_share"]
    return {
        "role": "numerical",
        "drift": 0.1,
        "drift_p": 0.5,
        "significant": False,
        "detectable": 0.2,
        "statistics": {name: float(random.random()) for name in statistics},
        "reasons": {},
        "histogram": {
            "edges": random.normal(size=bins + 1).round(4).tolist(),
            "reference": random.integers(0, 30_000, bins).tolist(),
            "batch": random.integers(0, 10_000, bins).tolist(),
        },
    }


def _metric_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for place, metric in enumerate(METRICS):
        value = {"evaluation": number + 1, "place": place, "metric": metric, "value": float(random.random())}
        yield {**value, "low": 0.0, "high": 1.0, "failed": False, "unlabelled": False}


def _check_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for check, metric in (("drift is low", "data_drift"), *(("every column", f"drift.{one}") for one in COLUMNS[:5])):
        outcome = "WARNING" if random.random() < 0.02 else "OK"
        place = {"run": make_id(number), "created": FIRST + timedelta(minutes=number), "evaluation": make_id(number)}
        judged = {"outcome": outcome, "counts_as": outcome, "value": 0.1, "bounds": {"max": 0.9}, "reason": ""}
        yield {**place, "target": "mes", "check": check, "metric": metric, **judged}


def _run_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    began = FIRST + timedelta(minutes=number)
    named = {"number": number + 1, "id": make_id(number), "short_id": make_id(number).rpartition("-")[2]}
    facts = {"project": "grown", "scenario": "default", "who": "ann@host", "trigger": "manual", "variables": {}}
    parent = make_id(number - 1) if number % 3 == 2 else None
    yield {**named, **facts, "parent": parent, "started": began, "ended": began, "outcome": "SUCCESS"}


def _step_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    began = FIRST + timedelta(minutes=number)
    for place, name in enumerate(("build", "check")):
        facts = {"run": number + 1, "place": place, "name": name, "kind": name, "outcome": "SUCCESS"}
        yield {**facts, "started": began, "ended": began, "reused": False, "reason": ""}


def _measurement_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    facts = {"number": number + 1, "dataset": "batch", "fingerprint": f"dataset{number:025}", "facts": {}}
    yield {**facts, "run": make_id(number), "created": FIRST + timedelta(minutes=number)}


def _dataset_metric_rows(number: int, count: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    value = {"measurement": number + 1, "place": 0, "metric": "row_count", "value": 10_000.0}
    yield {**value, "failed": False, "unlabelled": False}


TABLES: dict[Any, Callable[[int, int, np.random.Generator], Iterator[dict[str, Any]]]] = {
    evaluations: _evaluation_rows,
    evaluation_details: _detail_rows,
    evaluation_metrics: _metric_rows,
    check_results: _check_rows,
    runs: _run_rows,
    run_steps: _step_rows,
    dataset_measurements: _measurement_rows,
    dataset_metrics: _dataset_metric_rows,
}


def show(*arguments: str) -> None:
    """Run `engine show` in this process; what it prints is dropped."""
    before, sys.argv = sys.argv, ["engine", "show", *arguments]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            assert main._main() == 0
    finally:
        sys.argv = before


def show_alone(*arguments: str) -> None:
    """Run `engine show` as a process."""
    subprocess.run([ENGINE, "show", *arguments], check=True, stdout=subprocess.DEVNULL)


def looking_back(folder: Path, count: int) -> dict[str, Callable[[], object]]:
    """Return what is measured on a state, each with its name."""
    spec = str(folder / "spec.yaml")
    project = engine.load(spec)
    store, state = project.store("mes"), folder / ".engine" / "grown"
    name, last_id, part = f"batch {count - 5}", make_id(count - 5), make_id(count - 5).rpartition("-")[2]
    return {
        "open and close the state": lambda: Store.open(state).close(),
        "an evaluation by name": lambda: store.evaluation(name),
        "an evaluation by id": lambda: store.evaluation(last_id),
        "an evaluation by a part of its id": lambda: store.evaluation(part[:6]),
        "the evaluation before it": lambda: store.before(name),
        "the last 20 with their checks": lambda: store.evaluations(last=20),
        "the checks of one evaluation": lambda: store.checks(name),
        "a run by a part of its id": lambda: project.past_run(part),
        "the log of a run": lambda: project.log(part),
        "show SPEC STORE, in this process": lambda: show(spec, "mes"),
        "show SPEC STORE EVALUATION, in this process": lambda: show(spec, "mes", name),
        "show SPEC, in this process": lambda: show(spec),
        "show SPEC --runs, in this process": lambda: show(spec, "--runs"),
        "show SPEC STORE, as a process": lambda: show_alone(spec, "mes"),
        "show SPEC STORE EVALUATION, as a process": lambda: show_alone(spec, "mes", name),
    }


def main_benchmark(few: int, many: int, times: int, folder: Path) -> None:
    """Make the two states, if the folder has none yet, and print the table."""
    for count in (few, many):
        if not (folder / f"{count}").exists():
            wall = cost(lambda count=count: make_state(folder / f"{count}", count)).wall
            size = (folder / f"{count}" / ".engine" / "grown" / "state.db").stat().st_size
            print(f"a state of {count:,} evaluations: {size / 1e6:,.0f} MB, made in {wall:.0f} s", flush=True)
    small, large = (looking_back(folder / f"{count}", count) for count in (few, many))
    tasks = {(name, count): task for name in small for count, task in ((few, small[name]), (many, large[name]))}
    for task in tasks.values():
        task()
    started = {key: task for key, task in tasks.items() if key[0].endswith("as a process")}
    found = in_turns(times, {key: task for key, task in tasks.items() if key not in started})
    found |= in_turns(max(1, times // PROCESS_SHARE), started)
    print(f"{machine()}; medians of {times}, of processes {max(1, times // PROCESS_SHARE)}, in turns")
    print(f"{'ms':45} {few:>9,} {many:>9,}  ratio")
    for name in small:
        least, most = (found[name, count].wall * 1000 for count in (few, many))
        print(f"{name:45} {least:9.1f} {most:9.1f} {most / least:6.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=21)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main_benchmark(options.few, options.many, options.times, options.folder or Path(temporary))
