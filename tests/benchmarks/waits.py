"""What nobody should have to wait for: seconds of each, beside the most that it may take on a quiet machine.

`.venv/bin/python tests/benchmarks/waits.py`. Tests assert no seconds: on a shared machine they would fail by chance.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import polars as pl
from timing import cost, machine

from engine.data.fingerprints import hash_frame
from engine.data.metrics import compute_dataset_metrics
from engine.data.table import Table
from engine.errors import SpecError
from engine.models.fitted_model import FittedModel
from engine.models.metrics.performance import measure_performance
from engine.spec import load
from engine.spec.metrics.catalogue import list_statistics
from engine.store import Store

SPECS = Path(__file__).parents[2] / "specs"
ENGINE = Path(sys.executable).with_name("engine")


class Nothing:
    """What predicts nothing: the predictions are there."""

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame


@contextmanager
def tasks(folder: Path) -> Iterator[dict[str, tuple[float, Callable[[], object]]]]:
    """Yield each task with the most seconds that it may take."""
    random = np.random.default_rng(0)
    long = pl.DataFrame(
        {f"c{i}": random.normal(size=330_000) for i in range(6)}
        | {f"s{i}": random.integers(0, 300_000, 330_000).astype(str) for i in range(2)}
    )
    wide = pl.DataFrame({f"x{i}": [1.0, 2.0] for i in range(500)})
    others = ("row_count", "column_count", "repeated_share", "age")
    every = [f"{name}.*" for name in list_statistics("dataset") if name not in others]
    truth = random.integers(0, 2, 1_000_000)
    p = np.clip(random.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    scored = pl.DataFrame({"y": truth, "prediction": p >= 0.5, "probability_0": 1 - p, "probability_1": p})
    scored = scored.with_columns(pl.col("prediction").cast(pl.Int64))
    model = FittedModel("m", "binary_classification", "y", ("x",), Nothing(), (0, 1), 1)
    hostile = folder / "hostile.yaml"
    hostile.write_text("".join(f"k{i}: 1\n" for i in range(80_000)))
    Store.open(folder / "store").close()
    example = folder / "specs"
    shutil.copytree(SPECS, example, ignore=shutil.ignore_patterns(".engine", "outbox", "images"))

    def run() -> None:
        subprocess.run([ENGINE, "run", "card_fraud.yaml"], cwd=example, check=True, capture_output=True)

    def refuse() -> None:
        with suppress(SpecError):
            load(hostile)

    run()
    yield {
        "fingerprint of 330,000 rows": (1, lambda: hash_frame(long)),
        "every metric of 500 columns": (5, lambda: compute_dataset_metrics(Table("t", wide.lazy(), ""), every)),
        "performance on a million rows": (3, lambda: measure_performance(model, scored)),
        "a spec of 80,000 wrong keys": (10, refuse),
        "opening a store": (0.06, lambda: Store.open(folder / "store").close()),
        "the second run of card_fraud": (2, run),
    }


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as folder, tasks(Path(folder)) as wanted:
        for what, (most, task) in wanted.items():
            best = min(cost(task).wall for _ in range(3))
            print(f"{what:32} {best:8.3f} s, at most {most:g} s{'' if best <= most else '  TOO LONG'}", flush=True)
