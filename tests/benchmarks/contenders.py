"""The contenders of peers.py: each reads the same two files and computes the report that it is used for.

    python tests/benchmarks/contenders.py NAME REFERENCE BATCH

Run with the interpreter that has the contender installed; prints its figures as one line of JSON. Imports stand in
the functions because no environment has them all.
"""

import json
import resource
import sys
import time
from collections.abc import Callable

IMPORTS = {
    "engine": ("polars", "engine.drift.comparison"),
    "scipy": ("polars", "scipy.stats"),
    "evidently": ("pandas", "evidently.presets"),
    "nannyml": ("pandas", "nannyml"),
}


def engine(reference: str, batch: str) -> str:
    """Every statistic of every column, and the calibrated verdict."""
    from engine import drift

    found = drift.compare(drift.profile(reference), batch)
    bounded = len({name for name, column in found.columns.items() if column.bounds})
    exact = f"{bounded} columns with bounds" if bounded else "exact"
    return f"{sum(len(column.statistics) for column in found.columns.values())} statistics, {exact}, calibrated verdict"


def scipy(*sides: str) -> str:
    """The usual tests, column by column."""
    import numpy as np
    import polars as pl
    from scipy import stats

    reference, batch = map(pl.read_parquet, sides)
    done = 0
    for name in reference.columns:
        a, b = reference[name].drop_nulls(), batch[name].drop_nulls()
        if a.dtype.is_numeric():
            stats.ks_2samp(a.to_numpy(), b.to_numpy())
            stats.wasserstein_distance(a.to_numpy(), b.to_numpy())
            done += 3
        else:
            counts = a.value_counts().join(b.value_counts(), on=name, how="full", suffix="_b").fill_null(0)
            stats.chi2_contingency(np.array([counts["count"], counts["count_b"]]))
            done += 2
    return f"{done} statistics: KS with p and W1, or chi2 with p"


def evidently(*sides: str) -> str:
    """The default preset."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    reference, batch = map(pd.read_parquet, sides)
    Report([DataDriftPreset()]).run(batch, reference).dict()
    return "1 statistic a column"


def nannyml(*sides: str) -> str:
    """KS (on bins) and Jensen-Shannon for continuous columns, chi2 and Jensen-Shannon for categorical ones."""
    import nannyml
    import pandas as pd

    reference, batch = map(pd.read_parquet, sides)
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(reference.columns),
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
        categorical_methods=["chi2", "jensen_shannon"],
        chunk_number=1,
    )
    calculator.fit(reference).calculate(batch).to_df()
    return "2 statistics a column, KS on bins"


def main(name: str, *sides: str) -> None:
    """Measure one contender."""
    contenders: dict[str, Callable[..., str]] = {
        "engine": engine,
        "scipy": scipy,
        "evidently": evidently,
        "nannyml": nannyml,
    }
    for module in IMPORTS[name]:
        __import__(module)
    wall, cpu = time.perf_counter(), time.process_time()
    what = contenders[name](*sides)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"compute": wall, "cpu": cpu, "peak": peak, "what": what}))


if __name__ == "__main__":
    main(*sys.argv[1:])
