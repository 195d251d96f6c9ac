"""Estimates of performance beside NannyML's, chunk by chunk, on the tables that it ships and on others of packages.

    python tests/campaigns/estimates_peers.py --peer nannyml=PYTHON [--only NAME] [--chunks 12] [--method auto]

PYTHON is the interpreter of an environment with NannyML. Both learn from the same reference and estimate the same
chunks: CBPE with its defaults, or DLE for a regression; and `estimates: auto`, or another method. Prints, as Markdown:

- how far the realised metrics of both lie apart, which shows whether they mean the same by them;
- for each table and metric the mean of |estimated - realised| over the chunks of both, and of the guess that nothing
  has changed since the reference; whose is smaller and by how many standard errors of the mean difference; and how
  often the interval of each holds the realised value. NannyML has none at 95 %: 1.96 of its sampling errors are taken.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import drifting_tables
import numpy as np
import polars as pl

from engine import drift
from engine.evaluation.performance.estimation import EstimateSettings, estimate_batch
from engine.evaluation.record import MetricValue
from engine.evaluation.snapshots.scored_rows import PREDICTED, SCORE, TRUTH, ScoredRows
from engine.models import classification, regression
from engine.models.metrics.intervals import Units
from engine.spec.resources.models import CostMatrix

HERE = Path(__file__).parent
QUIET = {"PYTHONWARNINGS": "ignore", "NML_DISABLE_USAGE_LOGGING": "1", "OMP_NUM_THREADS": "1"}
"""Nobody waits for a server that counts users, nor for threads that wait for each other."""


def measure(frame: pl.DataFrame, task: str) -> dict[str, float]:
    """Return the metrics that the labels show."""
    units = Units(frame.height)
    truth, predicted = frame[TRUTH].to_numpy(), frame[PREDICTED].to_numpy()
    scores = [frame[name].to_numpy() for name in sorted(frame.columns) if name.startswith(SCORE)]
    if task == "regression":
        found, _, _ = regression.measure_regression(truth, predicted, units)
    elif len(scores) == 2:
        found, _, _ = classification.measure_binary(
            truth == 1, predicted == 1, scores[1], names=("0", "1"), cost_matrix=CostMatrix(), units=units
        )
    else:
        names = [str(i) for i in range(len(scores))]
        found, _, _ = classification.measure_multiclass(truth, predicted, np.stack(scores, axis=1), names, units)
    return {name: value for name, value in found.items() if isinstance(value, float)}


class TableEstimates(NamedTuple):
    """Estimate, realised value and value in the reference, by chunk and metric; the share reweighted; seconds."""

    found: dict[tuple[int, str], tuple[MetricValue, float, float]]
    reweighted: float
    seconds: float


def estimate_table(path: Path, chunks: int, method: str) -> TableEstimates:
    """Estimate chunks of a table without their labels."""
    facts = json.loads(path.with_suffix(".json").read_text())
    task, chunk = facts["task"], facts["chunk"]
    frame = pl.read_parquet(path).rename(lambda name: f"__{name}" if name.startswith("score_") else name)
    frame = frame.rename({"predicted": PREDICTED, "truth": TRUTH})
    if task != "regression":
        frame = frame.with_columns(pl.col(PREDICTED, TRUTH).cast(pl.Int64))
    classes = tuple(str(i) for i in range(sum(name.startswith(SCORE) for name in frame.columns)))
    roles = {
        name: drift.Role.CATEGORICAL if frame.schema[name] == pl.String else drift.Role.NUMERICAL
        for name in facts["features"]
    }
    reference, analysis = (frame.filter(part=part).drop("part") for part in ("reference", "analysis"))
    before = measure(reference, task)
    found, reweighted = {}, 0
    started = time.perf_counter()
    numbers = np.unique(np.linspace(0, analysis.height // chunk - 1, chunks).astype(int)).tolist()
    for number in numbers:
        batch = analysis[number * chunk : (number + 1) * chunk]
        estimation = estimate_batch(
            ScoredRows(batch.with_columns(pl.lit(None, frame.schema[TRUTH]).alias(TRUTH)), task, classes, "model"),
            ScoredRows(reference, task, classes, "model"),
            EstimateSettings(task, method),
            roles=roles,
            entity=None,
            moved=method == "auto" and drift.domain_classifier(reference, batch, roles).significant,
        )
        reweighted += estimation.detail is not None and estimation.detail.method == "reweighted"
        for name, value in measure(batch, task).items():
            if (estimate := estimation.metrics.get(f"estimated_{name}")) is not None and name in before:
                found[number, name] = estimate, value, before[name]
    return TableEstimates(found, reweighted / len(numbers), time.perf_counter() - started)


def compare_table(path: Path, peer: dict[str, Any], chunks: int, method: str) -> Iterator[str]:
    """Give the lines of one table."""
    ours = estimate_table(path, chunks, method)
    theirs_by_metric = {(one["chunk"], one["metric"]): one for one in peer["estimates"]}
    errors: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    held: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    apart = 0.0
    for (chunk, name), (estimate, real, before) in ours.found.items():
        other = theirs_by_metric.get((chunk, name))
        if other is None or estimate.value is None or not np.isfinite([other["estimated"], other["realised"]]).all():
            continue
        apart = max(apart, abs(other["realised"] - real) / max(abs(real), 1e-300))
        errors[name].append((abs(estimate.value - real), abs(other["estimated"] - real), abs(before - real)))
        off = abs(other["estimated"] - real)
        inside = estimate.low is not None and estimate.high is not None and estimate.low <= real <= estimate.high
        held[name].append((inside, off <= 1.96 * other["standard_error"]))
    print(
        f"{path.stem}: realised metrics lie at most {apart:.1g} apart; reweighted {ours.reweighted:.0%}; "
        f"{ours.seconds:.0f} s; NannyML {peer['version']}, all chunks: {peer['seconds']:.0f} s",
        file=sys.stderr,
    )
    for name, rows in errors.items():
        each = np.array(rows)
        mine, theirs, nothing = each.mean(axis=0)
        less = each[:, 1] - each[:, 0]
        spread = float(less.std(ddof=1)) / sqrt(len(less)) if len(less) > 1 else 0.0
        ratio = float(less.mean()) / spread if spread else 0.0
        within = np.array(held[name]).mean(axis=0)
        whose = "engine" if ratio > 2 else "NannyML" if ratio < -2 else "neither"
        yield (
            f"| {path.stem} | {name} | {len(rows)} | {mine:.4g} | {theirs:.4g} | {nothing:.4g} | "
            f"{whose} ({ratio:+.1f}) | {within[0]:.0%} | {within[1]:.0%} |"
        )


def run_campaign(python: str, folder: Path, only: str, packages: str, chunks: int, method: str) -> None:
    """Print the tables."""
    script, environment = HERE / "nannyml_estimates.py", os.environ | QUIET
    subprocess.run([python, script, "tables", folder], check=True, env=environment)
    for line in drifting_tables.write_tables(folder, packages):
        print(line, file=sys.stderr)
    print("| table | metric | chunks | engine | NannyML | if nothing had changed | smaller (standard errors) ", end="")
    print("| in the interval | in NannyML's |\n|---|---|---|---|---|---|---|---|---|")
    for path in sorted(folder.glob("*.parquet")):
        if only in path.stem:
            command = [python, script, "estimate", path]
            done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE)
            for line in compare_table(path, json.loads(done.stdout.splitlines()[-1]), chunks, method):
                print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, metavar="nannyml=PYTHON")
    parser.add_argument("--only", default="", help="compare the tables whose name has this text")
    parser.add_argument("--chunks", type=int, default=12, help="compare at most so many of a table, spread over all")
    parser.add_argument("--method", default="auto", choices=("auto", "calibrated", "reweighted"))
    parser.add_argument("--packages", default="", help="a folder with the packages of the tables, one folder each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run_campaign(
            options.peer.partition("=")[2],
            Path(temporary),
            options.only,
            options.packages,
            options.chunks,
            options.method,
        )
