"""What ten segments, and a search for more, cost: a batch is measured and compared with its reference.

    python tests/benchmarks/segments.py [--rows 300000] [--times 5]

Both sides have 30 columns. Everything is done that an evaluation without a model does, in turns, in one process:
reading Parquet, profiles, samples, the drift model, all tests. The reference is measured once and kept, as in real
stores.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from drift_model import table
from timing import in_turns

from engine.data import Table
from engine.data.segments import SegmentRules
from engine.drift import KnownColumn, roles
from engine.errors import Position
from engine.evaluation.batch_evaluation import evaluate_batch
from engine.evaluation.evaluation_identity import EvaluationIdentity
from engine.evaluation.observation import Observation, snapshot_side
from engine.evaluation.record import Evaluation, Fingerprints
from engine.evaluation.segments.found import SearchSettings
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.resources.evaluation_stores import DriftSettings

SEGMENTS = 10
IDENTITY = EvaluationIdentity("id", "store", "name", {}, datetime.now(UTC), Fingerprints("", "", "", ""))
SETTINGS = DriftSettings.model_validate({})
RULES = SegmentRules(columns={"part": Position("benchmark")})


def write_side(path: Path, rows: int, seed: int) -> Table:
    """Write one side with a column of ten values of unlike frequency, and return it."""
    random, weights = np.random.default_rng(seed + 100), 1 / np.arange(1, SEGMENTS + 1)
    part = random.choice([f"p{i}" for i in range(SEGMENTS)], rows, p=weights / weights.sum())
    table(rows, seed).with_columns(pl.Series("part", part)).write_parquet(path, row_group_size=131_072)
    return Table(path.stem, pl.scan_parquet(path, glob=False), path.stem, rereadable=True)


def measure(
    side: Table, known: dict[str, KnownColumn], rules: SegmentRules | None, against: Snapshot | None
) -> Snapshot:
    """Measure one side."""
    return snapshot_side(
        side,
        known,
        {},
        model=None,
        cost_matrix=None,
        sample_rows=SETTINGS.max_rows,
        seed=0,
        confidence=SETTINGS.confidence,
        against=against,
        segments=rules,
        segment_values=against.segment_values if against else None,
    ).snapshot


def evaluate(
    batch: Table,
    known: dict[str, KnownColumn],
    rules: SegmentRules | None,
    reference: Snapshot,
    search: SearchSettings | None = None,
) -> Evaluation:
    """Measure a batch and compare it."""
    seen = measure(batch, known, rules, reference)
    return evaluate_batch(IDENTITY, Observation(seen.columns.rows, seen), reference, SETTINGS, search=search)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        before, batch = (write_side(folder / f"{name}.parquet", given.rows, i) for i, name in enumerate(("a", "b")))
        known = {name: KnownColumn(role) for name, role in roles(before.frame)[0].items()}
        references = {rules is not None: measure(before, known, rules, None) for rules in (None, RULES)}
        tasks = {
            "plain": lambda: evaluate(batch, known, None, references[False]),
            "ten segments": lambda: evaluate(batch, known, RULES, references[True]),
            "a search": lambda: evaluate(batch, known, None, references[False], SearchSettings()),
        }
        for task in tasks.values():
            task()  # compiles, and fills caches
        found = in_turns(given.times, tasks)
    for name, one in found.items():
        print(f"{name:<14} {one.wall:6.2f} s, {one.cpu:6.2f} s of processor time")
    plain = found.pop("plain")
    for name, one in found.items():
        wall, cpu = one.wall / plain.wall, one.cpu / plain.cpu
        print(f"{name} costs {wall:.2f} times the plain comparison ({cpu:.2f} by processor time)")


if __name__ == "__main__":
    main()
