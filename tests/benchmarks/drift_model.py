"""How long the drift model takes and how well it tells two sides apart, next to LightGBM and NannyML.

    python tests/benchmarks/drift_model.py --peer lightgbm=PYTHON --peer nannyml=PYTHON

PYTHON is the interpreter of an environment with that peer, pandas and pyarrow. Everybody reads the same two Parquet
files (20 numerical and 10 categorical columns of 2 to 10,000 values, some drifted) in a process of its own, in turns.
Compute is without imports; LightGBM has one thread. Then, for the engine alone: wide tables, and samples of big files.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGUN = time.perf_counter()
IMPORTS = {"engine": ["polars", "engine.drift.classifier.domain_classifier"], "lightgbm": ["pandas", "lightgbm"]}
IMPORTS["nannyml"] = ["pandas", "nannyml"]


def table(rows: int, seed: int, drift: float = 0.0) -> Any:
    """Return many shapes of columns; of each shape one drifts."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for i in range(4):
        columns[f"normal_{i}"] = random.normal(drift * (i == 0), 1, rows)
        columns[f"lognormal_{i}"] = random.lognormal(drift * (i == 1), 1, rows)
        columns[f"heavy_{i}"] = random.standard_t(2, rows) * (1 + drift * (i == 2))
        columns[f"rounded_{i}"] = random.normal(0, 10, rows).round(1) if i % 2 else random.poisson(5, rows)
        missing = random.random(rows) < 0.1 + drift * (i == 0) / 4
        columns[f"missing_{i}"] = np.where(missing, np.nan, random.gamma(2, 1, rows))
    for i, size in enumerate((2, 3, 5, 10, 30, 100, 300, 1000, 3000, 10000)):
        weights = 1 / np.arange(1, size + 1) ** (0.5 + drift * (i == 5) / 2)
        names = np.array([f"c{j}" for j in range(size)])
        columns[f"category_{i}"] = names[random.choice(size, rows, p=weights / weights.sum())]
    return pl.DataFrame(columns)


def make(folder: Path, rows: int) -> None:
    """Write both sides."""
    table(rows, 0).write_parquet(folder / "reference.parquet")
    table(rows, 1, 0.2).write_parquet(folder / "batch.parquet")


def engine(folder: Path) -> float:
    """The drift model with its interval, p and importance."""
    import polars as pl

    from engine import drift

    reference, batch = (pl.read_parquet(folder / f"{side}.parquet") for side in ("reference", "batch"))
    roles, _ = drift.roles(reference.lazy())
    return float(drift.domain_classifier(reference, batch, roles, max_rows=len(reference)).auc or 0)


def pooled(folder: Path) -> Any:
    """Return both sides as pandas."""
    import pandas as pd

    both = [pd.read_parquet(folder / f"{side}.parquet") for side in ("reference", "batch")]
    return pd.concat(both, ignore_index=True), len(both[0])


def lightgbm(folder: Path) -> float:
    """100 trees; AUC on a fifth held out."""
    import lightgbm as library
    import numpy as np
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    rows, n = pooled(folder)
    for name in rows.columns:
        if not pd.api.types.is_numeric_dtype(rows[name]):
            rows[name] = rows[name].astype("category")
    side = np.repeat([0, 1], n)
    held = np.random.default_rng(0).random(2 * n) < 0.2
    # OpenMP's threads spin when cores are shared: with two, ten times as long on a machine that has other work
    model = library.LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1).fit(rows[~held], side[~held])
    return float(roc_auc_score(side[held], model.predict_proba(rows[held])[:, 1]))


def nannyml(folder: Path) -> float:
    """Its domain classifier, the whole batch one chunk: AUC by cross-validation."""
    import nannyml as library

    rows, n = pooled(folder)
    calculator = library.DomainClassifierCalculator(feature_column_names=list(rows.columns), chunk_size=n)
    found = calculator.fit(rows[:n]).calculate(rows[n:]).filter(period="analysis").to_df()
    return float(found[("domain_classifier_auroc", "value")].iloc[0])


def wide(_: Path, columns: int, rows: int) -> float:
    """Many columns, of which one drifts."""
    import numpy as np
    import polars as pl

    from engine import drift

    sides = [pl.DataFrame(np.random.default_rng(seed).normal(size=(rows, columns))) for seed in (0, 1)]
    sides[1] = sides[1].with_columns(pl.col("column_0") + 0.5)
    global BEGUN  # noqa: PLW0603 - making the table does not count
    BEGUN = time.perf_counter()
    return float(drift.domain_classifier(*sides, dict.fromkeys(sides[0].columns, drift.Role.NUMERICAL)).auc or 0)


def sampling(folder: Path, parts: int) -> float:
    """A sample of 100,000 rows from as many files of 500,000."""
    import polars as pl

    from engine import drift

    frame = pl.scan_parquet([folder / f"part_{part}.parquet" for part in range(parts)])
    return float(len(drift.sample(frame, frame.collect_schema().names(), 100_000)))


def reading(folder: Path, parts: int) -> float:
    """The floor of a pass: to decode every column."""
    import polars as pl

    frame = pl.scan_parquet([folder / f"part_{part}.parquet" for part in range(parts)])
    return float(frame.select(pl.all().null_count()).collect(engine="streaming").width)


def ask(python: str, what: str, folder: str, *numbers: int) -> dict[str, float]:
    """Run one contender in a process and return what it measured of itself."""
    command = [python, __file__, "--run", what, folder, *map(str, numbers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def run(what: str, folder: str, *numbers: str) -> None:
    """Measure one contender and print it as JSON."""
    contenders: dict[str, Callable[..., float]] = {
        contender.__name__: contender for contender in (engine, lightgbm, nannyml, wide, sampling, reading)
    }
    for module in IMPORTS.get(what, IMPORTS["engine"]):
        __import__(module)
    begun = time.perf_counter()
    answer = contenders[what](Path(folder), *map(int, numbers))
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    compute = ended - max(begun, BEGUN)
    print(json.dumps({"compute": compute, "process": ended - BEGUN, "peak": peak, "answer": answer}))


def main() -> None:
    """Measure and print the tables."""
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows a side")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured")
    parser.add_argument("--parts", type=int, nargs="*", default=[2, 20], help="files of 500,000 rows to sample from")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    chosen = parser.parse_args()
    pythons = {"engine": sys.executable} | dict(peer.split("=", 1) for peer in chosen.peer)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), chosen.rows)
        ask(sys.executable, "engine", folder)  # its kernels are compiled once
        found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
        for _ in range(chosen.times):
            for name, python in pythons.items():
                found[name].append(ask(python, name, folder))
        for columns, rows in ((600, 6_000), (2_000, 10_000)):
            found[f"{columns:,} x {rows:,}"] = [
                ask(sys.executable, "wide", folder, columns, rows) for _ in range(chosen.times)
            ]
        for part in range(max(chosen.parts, default=0)):
            table(500_000, part).write_parquet(Path(folder) / f"part_{part}.parquet", row_group_size=131_072)
        for parts in chosen.parts:
            for what in ("reading", "sampling"):
                found[f"{what} {parts * 500_000:,}"] = [
                    ask(sys.executable, what, folder, parts) for _ in range(chosen.times)
                ]
    print(f"{chosen.rows:,} rows a side, 30 columns, medians of {chosen.times}\n")
    ours = statistics.median(each["compute"] for each in found["engine"])
    print(f"{'':20} {'compute s':>10} {'process s':>10} {'peak MB':>8} {'÷ engine':>9}  AUC, rows or columns")
    for name, runs in found.items():
        compute, process, peak, answer = (
            statistics.median(each[key] for each in runs) for key in ("compute", "process", "peak", "answer")
        )
        print(f"{name:20} {compute:10.2f} {process:10.2f} {peak:8.0f} {compute / ours:9.1f}  {answer:.4g}")


if __name__ == "__main__":
    main()
