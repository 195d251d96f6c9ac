"""How often the verdict alarms where nothing has drifted, and how often it finds what has.

    python tests/benchmarks/calibration.py --times 400

Draws pairs of samples from one source (or from two that differ as named), compares them, and counts the comparisons
in which any column's `drift` is above 0. Prints a 95 % interval (Wilson) with each share: without drift it has to lie
at or below the 5 % that the confidence of 0.95 promises. The last column is what the usual practice, chi2 or KS per
column at p < 0.05 without a correction, would have alarmed on the same data.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import polars as pl

from engine import drift

Draw = Callable[[np.random.Generator, int, bool], Mapping[str, object]]


@dataclass(frozen=True)
class Case:
    """A source: `draw` gives n rows of it, drifted or not."""

    name: str
    draw: Draw
    reference: int
    batch: int
    drifted: bool = False


def normal(columns: int, shift: float = 0.0) -> Draw:
    """Independent normal columns; the first one moves."""

    def draw(random: np.random.Generator, n: int, moved: bool) -> Mapping[str, object]:
        return {f"x{i}": random.normal(shift * (moved and i == 0), 1, n) for i in range(columns)}

    return draw


def rounded(columns: int) -> Draw:
    """Counts with many ties, a third of them zero."""
    return lambda random, n, _: {
        f"x{i}": np.where(random.random(n) < 1 / 3, 0, random.poisson(4, n)) for i in range(columns)
    }


def flags(columns: int) -> Draw:
    """Rare events: 0.2 to 3 % of the rows."""
    rates = np.linspace(0.002, 0.03, columns)
    return lambda random, n, _: {f"x{i}": (random.random(n) < rates[i]).astype(str) for i in range(columns)}


def categories(size: int, *, zipf: bool = False) -> Draw:
    """One column of so many categories, even or by Zipf; half of them vanish."""
    weights = 1 / np.arange(1, size + 1) if zipf else np.ones(size)

    def draw(random: np.random.Generator, n: int, moved: bool) -> Mapping[str, object]:
        kept = weights * (np.arange(size) % 2 == 0) if moved else weights
        return {"x": random.choice(size, n, p=kept / kept.sum()).astype(str)}

    return draw


CASES = (
    Case("normal, 1 column", normal(1), 1_000, 1_000),
    Case("normal, 50 columns", normal(50), 1_000, 1_000),
    Case("normal, 20 columns, batch of 50", normal(20), 50_000, 50),
    Case("ties, 20 columns", rounded(20), 5_000, 500),
    Case("rare flags, 50 columns", flags(50), 10_000, 1_000),
    Case("1,000 categories, even", categories(1_000), 100_000, 1_000),
    Case("1,000 categories, Zipf", categories(1_000, zipf=True), 100_000, 1_000),
    Case("half a sd in 1 of 50 columns", normal(50, 0.5), 1_000, 1_000, drifted=True),
    Case("half of 1,000 categories gone, 200 rows", categories(1_000), 100_000, 200, drifted=True),
)


def main() -> None:
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=400, help="comparisons a case")
    times = parser.parse_args().times
    print(f"{times} comparisons a case\n")
    print(f"{'case':49} {'reference':>9} {'batch':>6}  {'alarms':>6}  {'95 % interval':>16}  {'usual practice':>14}")
    for case in CASES:
        alarms = usual = 0
        for seed in range(times):
            ours, theirs = alarmed(case, seed)
            alarms += ours
            usual += theirs
        low, high = wilson(alarms, times)
        what = f"{case.name}{' (drifted)' if case.drifted else ''}"
        print(
            f"{what:49} {case.reference:9,} {case.batch:6,}  {alarms / times:6.1%}  {low:6.1%} to {high:6.1%}  "
            f"{usual / times:14.1%}"
        )
        sys.stdout.flush()


def alarmed(case: Case, seed: int) -> tuple[bool, bool]:
    """Compare one pair of samples: does any column drift, and would p < 0.05 in any column have said so?"""
    random = np.random.default_rng(seed)
    before = pl.DataFrame(case.draw(random, case.reference, False))
    now = pl.DataFrame(case.draw(random, case.batch, case.drifted))
    roles = {
        name: drift.Role.NUMERICAL if dtype.is_numeric() else drift.Role.CATEGORICAL
        for name, dtype in before.schema.items()
    }
    found = drift.compare(drift.profile(before, roles), drift.profile(now, roles), seed=seed)
    p_values = [column.statistics.get("ks_p", column.statistics["chi2_p"]) for column in found.columns.values()]
    drifted = any((column.drift or 0) > 0 for column in found.columns.values())
    return drifted, any(p is not None and p < 0.05 for p in p_values)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z, share = 1.959964, hits / n
    middle, spread = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


if __name__ == "__main__":
    main()
