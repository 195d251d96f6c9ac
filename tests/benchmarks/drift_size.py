"""How often checks of all columns together alarm, by the number of rows, at a fixed size of drift.

    python tests/benchmarks/drift_size.py [REPETITIONS]

Five columns, of which one is shifted by a part of its standard deviation: not at all, by 0.13 (the best possible
accuracy is 0.526, and 5 % of the mass differs), or by 1 (0.69, 38 %). Each number is the share of comparisons of two
samples of n rows each in which the check is not OK; the last column is the median of `data_drift_low`.
"""

import sys

import numpy as np
import polars as pl

from engine.drift import DomainClassifierResult, Role, domain_classifier

SHIFTS = {"none": 0.0, "small": 0.13, "large": 1.0}
ROWS = (100, 1_000, 10_000, 100_000)
COLUMNS = 5
CHECKS = {
    "data_drift, max: 0.55": lambda found: found.accuracy > 0.55,
    "data_drift_significant, max: 0": lambda found: found.significant,
    "data_drift_low, max: 0.55": lambda found: found.accuracy_low > 0.55,
    "data_drift_low, max: 0.65": lambda found: found.accuracy_low > 0.65,
}


def compare_samples(rows: int, shift: float, seed: int) -> DomainClassifierResult:
    """Return how well the drift model tells two random samples apart."""
    draw = np.random.default_rng([seed, rows])
    sides = [
        pl.DataFrame({f"x{i}": draw.normal(moved if i == 0 else 0, 1, rows) for i in range(COLUMNS)})
        for moved in (0.0, shift)
    ]
    return domain_classifier(*sides, dict.fromkeys(sides[0].columns, Role.NUMERICAL))


def main(repetitions: int) -> None:
    print(f"| drift | rows | {' | '.join(f'`{check}`' for check in CHECKS)} | median of `data_drift_low` |")
    print("|---|---|" + "---|" * (len(CHECKS) + 1))
    for drift, shift in SHIFTS.items():
        for rows in ROWS:
            # the more rows, the less chance decides, and the longer a comparison takes
            times = max(10, repetitions if rows < 10_000 else repetitions * 2_000 // rows)
            found = [compare_samples(rows, shift, seed) for seed in range(times)]
            shares = [f"{sum(map(broken, found)) / times:.0%}" for broken in CHECKS.values()]
            low = np.median([one.accuracy_low for one in found])
            print(f"| {drift} | {rows:,} | {' | '.join(shares)} | {low:.3f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
