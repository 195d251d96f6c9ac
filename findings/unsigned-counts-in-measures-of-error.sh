#!/usr/bin/env bash
#
# What surprises: measures of error subtract unsigned whole numbers as they are, so
# that 3 - 4 is 4,294,967,295: max_error and median_absolute_error of scikit-learn,
# meanabs, bias and their like of statsmodels, the paired t-test of scipy and its
# distances cityblock and chebyshev. polars gives counts as UInt32 (pl.len(),
# value_counts), so that forecasts of counts against counts meet them. The other
# measures of scikit-learn, mean_absolute_error among them, are right.
#
# Whom it concerns: whoever compares two columns of counts. Some results are absurd;
# the median error and the t-test are plausible and wrong.
#
# Expected: the result for the same numbers as floats.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    scikit-learn==1.9.1 statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1 polars==2.1.0

"$tmp/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import polars as pl
from scipy.spatial.distance import chebyshev, cityblock
from scipy.stats import ttest_rel
from sklearn.metrics import max_error, mean_absolute_error, median_absolute_error
from statsmodels.tools.eval_measures import bias, meanabs, medianabs

DAYS = 50
random = np.random.default_rng(1)
events = pl.DataFrame({"day": np.sort(random.integers(0, DAYS, 5000)), "forecast": random.random(5000) < 0.9})
counts = events.group_by("day", maintain_order=True).agg(
    pl.len().alias("seen"), pl.col("forecast").sum() + pl.lit(random.integers(0, 20), pl.UInt32)
)
seen, forecast = counts["seen"].to_numpy(), counts["forecast"].to_numpy()


def compute_t(x, y):
    return ttest_rel(x, y).statistic


MEASURES = {
    "scikit-learn": ((mean_absolute_error, False), (max_error, True), (median_absolute_error, True)),
    "statsmodels": ((meanabs, True), (medianabs, True), (bias, True)),
    "scipy": ((compute_t, True), (cityblock, True), (chebyshev, True)),
}
print(", ".join(f"{name} {version(name)}" for name in (*MEASURES, "numpy", "polars")))
both = np.concatenate([seen, forecast])
print(f"  {len(seen)} pairs of counts of {both.dtype}, from {both.min()} to {both.max()}")
changed = []
for library, measures in MEASURES.items():
    for measure, expected in measures:
        got = float(measure(seen, forecast))
        right = float(measure(seen.astype(float), forecast.astype(float)))
        print(f"  {library:12} {measure.__name__:21} {got:18,.2f}, of floats {right:8,.2f}")
        if (not np.isclose(got, right)) != expected:
            changed.append(measure.__name__)
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
