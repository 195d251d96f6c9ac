"""The contenders of peers.py: each reads the same two files and computes the report that it is used for.

Run with the interpreter that has the contender installed; prints its figures as one line of JSON. Imports stand in
the functions because no environment has them all.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

BEGUN = time.perf_counter()
IMPORTS = {
    "engine": ("polars", "engine.drift.drift"),
    "scipy": ("polars", "scipy.stats"),
    "evidently": ("pandas", "evidently.presets"),
    "nannyml": ("pandas", "nannyml"),
}


def make(rows: str, folder: str) -> None:
    """Write reference.parquet and batch.parquet: many shapes of columns, some of them moved in the batch."""
    import numpy as np
    import polars as pl

    n = int(rows)
    for name, seed in (("reference", 0), ("batch", 1)):
        random = np.random.default_rng(seed)
        moved = 0.1 * seed
        columns: dict[str, object] = {}
        for i in range(4):
            columns[f"normal_{i}"] = random.normal(moved * i, 1, n)
            columns[f"lognormal_{i}"] = random.lognormal(moved * i, 1, n)
            columns[f"rounded_{i}"] = random.normal(0, 10, n).round(1)
            columns[f"counts_{i}"] = random.poisson(5 + i, n)
            columns[f"zeros_{i}"] = np.where(random.random(n) < 0.7, 0.0, random.gamma(2, 1, n))
        for i, size in enumerate((2, 3, 5, 8, 20, 50, 100, 200, 500, 1000)):
            columns[f"category_{i}"] = random.choice([f"c{j}" for j in range(size)], n)
        pl.DataFrame(columns).write_parquet(Path(folder) / f"{name}.parquet")


def engine(folder: Path) -> str:
    """Every statistic of every column, exact, and the calibrated verdict."""
    import polars as pl

    from engine import drift

    reference = pl.scan_parquet(folder / "reference.parquet")
    roles, _ = drift.roles(reference)
    before = drift.profile(reference, roles)
    now = drift.profile(pl.scan_parquet(folder / "batch.parquet"), roles)
    found = drift.compare(before, now)
    return f"{sum(len(column.statistics) for column in found.columns.values())} statistics, exact, calibrated verdict"


def scipy(folder: Path) -> str:
    """The usual tests, column by column."""
    import numpy as np
    import polars as pl
    from scipy import stats

    reference, batch = (pl.read_parquet(folder / f"{name}.parquet") for name in ("reference", "batch"))
    done = 0
    for name in reference.columns:
        a, b = reference[name], batch[name]
        if a.dtype.is_numeric():
            stats.ks_2samp(a.to_numpy(), b.to_numpy())
            stats.wasserstein_distance(a.to_numpy(), b.to_numpy())
            done += 3
        else:
            counts = a.value_counts().join(b.value_counts(), on=name, how="full", suffix="_b").fill_null(0)
            stats.chi2_contingency(np.array([counts["count"], counts["count_b"]]))
            done += 2
    return f"{done} statistics: KS with p and W1, or chi2 with p"


def evidently(folder: Path) -> str:
    """The default preset."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    reference, batch = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "batch"))
    Report([DataDriftPreset()]).run(batch, reference).dict()
    return "1 statistic a column"


def nannyml(folder: Path) -> str:
    """KS (on bins) and Jensen-Shannon for continuous columns, chi2 and Jensen-Shannon for categorical ones."""
    import nannyml
    import pandas as pd

    reference, batch = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "batch"))
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(reference.columns),
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
        categorical_methods=["chi2", "jensen_shannon"],
        chunk_number=1,
    )
    calculator.fit(reference).calculate(batch).to_df()
    return "2 statistics a column, KS on bins"


def main(name: str, *arguments: str) -> None:
    """Measure one contender."""
    if name == "make":
        make(*arguments)
        print("{}")
        return
    contenders: dict[str, Callable[[Path], str]] = {
        "engine": engine,
        "scipy": scipy,
        "evidently": evidently,
        "nannyml": nannyml,
    }
    contender, folder = contenders[name], Path(*arguments)
    for module in IMPORTS[name]:
        __import__(module)
    begun = time.perf_counter()
    what = contender(folder)
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"compute": ended - begun, "process": ended - BEGUN, "peak": peak, "what": what}))


if __name__ == "__main__":
    main(*sys.argv[1:])
