"""Runs `engine init` on tables that public packages ship, and counts how often its proposals alarm without a cause.

A table is shuffled and halved. `engine init` sees the first half alone; the second half is the batch. Nothing drifts,
so at most as many runs may end as WARNING or FAILED as the declared level says: 5 of 100, within the binomial error.

- plain: without a model
- target: a model is trained to predict a column
- time: as many days as rows are dealt out at random, so that nothing depends on them; the newest month is the batch

    python tests/campaigns/public_tables.py [--shuffles 2] [--only NAME]

The packages are downloaded with uv or pip into a temporary folder and never imported: the tables are files in them.
What cannot be had is skipped with the reason. A table is one row of the output.
"""

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import binomtest
from sklearn import datasets

from engine import spec
from engine.cli.verbs import init
from engine.data.inspection import inspect_file
from engine.errors import EngineError, UsageError
from engine.scenarios import scenario_selection, session

PACKAGES = ("statsmodels", "vega_datasets", "palmerpenguins", "plotly")
SHIPPED = ("iris", "wine", "breast_cancer", "diabetes", "digits", "linnerud")
LEVEL = 0.05
MIN_ROWS = 20


@dataclass
class Tally:
    """How the runs of one kind ended: alarms without a cause, and what went wrong, in words."""

    runs: int = 0
    alarms: int = 0
    said: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def list_shipped_tables() -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the tables that scikit-learn ships."""
    for name in SHIPPED:
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        yield f"sklearn {name}", pl.DataFrame({str(c): frame[c].to_numpy() for c in frame.columns})


def list_downloaded_tables(folder: Path) -> Iterator[tuple[str, pl.DataFrame | str]]:
    """Yield the tables in packages of a registry, or the reason why one cannot be had."""
    for package in PACKAGES:
        target = folder / package
        pip = [shutil.which("uv") or "", "pip"] if shutil.which("uv") else [sys.executable, "-m", "pip"]
        install = [*pip, "install", "-q", "--no-deps", "--target", str(target), package]
        ended = subprocess.run(install, capture_output=True, text=True, check=False)
        if ended.returncode:
            yield package, f"cannot be installed: {ended.stderr.strip()[-200:]}"
            continue
        for path in sorted([*target.rglob("*.csv"), *target.rglob("*.csv.gz"), *target.rglob("_data/*.json")]):
            if {"tests", "src"} & set(path.parts):
                continue
            name = f"{package} {path.name.partition('.')[0]}"
            if path.name == "data.csv":
                name = f"{package} {path.parent.name}"
            try:
                yield name, read_table(path)
            except (pl.exceptions.PolarsError, EngineError) as error:
                yield name, f"cannot be read: {str(error).splitlines()[0]}"


def read_table(path: Path) -> pl.DataFrame:
    if path.suffix == ".json":
        frame = pl.read_json(path)
        return frame.select(c for c in frame.columns if not frame[c].dtype.is_nested())
    return inspect_file(path).table.frame.collect()


def halve(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    mixed = frame.sample(fraction=1, shuffle=True, seed=seed)
    return mixed.head(frame.height // 2), mixed.tail(frame.height - frame.height // 2)


def deal_days(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the rows with a column of days, half a year of them, that nothing depends on."""
    draw = np.random.default_rng(seed)
    days = [date(2025, 1, 1) + timedelta(days=int(day)) for day in draw.integers(0, 181, frame.height)]
    return frame.with_columns(pl.Series("the day", days))


def propose(folder: Path, frame: pl.DataFrame, ending: str, **options: str) -> Path:
    """Write the first half, propose a spec for it, and return the spec's path."""
    folder.mkdir(parents=True)
    write(frame, folder / f"first{ending}")
    with contextlib.redirect_stdout(io.StringIO()):
        init.command(folder / "watch", [str(folder / f"first{ending}")], **options)
    return folder / "watch" / "project.yaml"


def write(frame: pl.DataFrame, path: Path) -> None:
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)


def run_spec(path: Path, tally: Tally) -> None:
    """Run a spec and count how it ends."""
    try:
        project = spec.load(path)
        if project.warnings:
            tally.faults.append(f"validate warns: {project.warnings[0].message}")
        with contextlib.redirect_stderr(io.StringIO()) as talk:
            finished = session.run_scenarios(project, scenario_selection.select_scenarios(project))
    except EngineError as error:
        tally.faults.append(str(error))
        return
    tally.runs += 1
    steps = [step for run in finished.runs for step in run.all_steps()]
    broken = [step.reason for step in steps if step.outcome == "FAILED" and not step.checks]
    tally.faults += broken
    tally.faults += [line for line in talk.getvalue().splitlines() if "project.yaml:" in line]
    if any(run.outcome != "SUCCESS" for run in finished.runs):
        tally.alarms += not broken
        tally.said += [
            f"{check.metric}: {check.reason}" for step in steps for check in step.checks if check.counts_as != "OK"
        ]


def try_table(frame: pl.DataFrame, folder: Path, seed: int, kinds: dict[str, Tally]) -> None:
    """Propose and run the three kinds of specs for one shuffled table."""
    ending = (".csv", ".parquet")[seed % 2]
    first, second = halve(frame, seed)
    targets: list[str | None] = [None, *reversed(frame.columns)]
    for kind in ("plain", "target"):
        for target in targets[:1] if kind == "plain" else targets[1:]:
            place = folder / f"{kind} {seed}"
            shutil.rmtree(place, ignore_errors=True)
            try:
                path = propose(place, first, ending, **({"target": target} if target else {}))
            except UsageError:
                continue  # this column cannot be a target: another one
            except EngineError as error:
                if "no column to compare" not in str(error):
                    kinds[kind].faults.append(str(error))
                break
            write(second, place / f"second{ending}")
            head, batch, tail = path.read_text(encoding="utf-8").partition("  batch:")
            path.write_text(head + batch + tail.replace(f"first{ending}", f"second{ending}", 1), encoding="utf-8")
            run_spec(path, kinds[kind])
            break
    place = folder / f"time {seed}"
    try:
        run_spec(propose(place, deal_days(frame, seed), ending, time="the day"), kinds["time"])
    except EngineError as error:
        if "no column to compare" not in str(error):
            kinds["time"].faults.append(str(error))


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--shuffles", type=int, default=2, help="shuffles of each table (default 2)")
    arguments.add_argument("--only", default="", help="only tables whose name contains this text")
    given = arguments.parse_args()
    total = {kind: Tally() for kind in ("plain", "target", "time")}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tables = [*list_shipped_tables(), *list_downloaded_tables(folder / "packages")]
        print(f"{'table':40} rows x columns   plain target time   alarms of runs")
        for number, (name, frame) in enumerate(tables):
            if given.only not in name:
                continue
            if isinstance(frame, str) or frame.height < MIN_ROWS:
                print(f"{name:40} skipped: {frame if isinstance(frame, str) else f'{frame.height} rows'}")
                continue
            kinds = {kind: Tally() for kind in total}
            for seed in range(given.shuffles):
                try_table(frame, folder / f"{number}", seed, kinds)
            shutil.rmtree(folder / f"{number}", ignore_errors=True)
            counts = "  ".join(f"{one.alarms}/{one.runs}" for one in kinds.values())
            print(f"{name:40} {frame.height:6} x {frame.width:<6} {counts}", flush=True)
            for kind, tally in kinds.items():
                for line in tally.faults:
                    print(f"    {kind}: FAULT {line}")
                for line in tally.said:
                    print(f"    {kind}: {line}")
                total[kind].runs += tally.runs
                total[kind].alarms += tally.alarms
                total[kind].faults += tally.faults
    failed = False
    for kind, tally in total.items():
        p = binomtest(tally.alarms, tally.runs, LEVEL, alternative="greater").pvalue if tally.runs else 1.0
        failed |= p < 0.01 or bool(tally.faults)
        print(
            f"{kind}: {tally.alarms} alarms of {tally.runs} runs, p {p:.3f} at {LEVEL:.0%}; {len(tally.faults)} faults"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
