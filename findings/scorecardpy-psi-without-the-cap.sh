#!/usr/bin/env bash
#
# What surprises: the Population Stability Index of scorecardpy's perf_psi leaves out all
# rows with the highest score, if it is a multiple of 50: its bins are open on the right,
# and the last one ends there. Scores capped at 850 or 1,000 have many such rows. If half
# of all rows go to the cap, the index is 0.00, no change at all, where it is 2.6 with a
# cap of 849. Nothing warns. 50 is x_tick_break, by its documentation a setting of the
# plot: of probabilities the index is always 0, since they share one bin.
#
# Whom it concerns: whoever watches a capped score, or a probability, by this index.
#
# Expected: that all rows count; and an error for a single bin.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    scorecardpy==0.1.9.7 pandas==2.3.3 numpy==2.4.6 matplotlib==3.11.2

MPLBACKEND=agg "$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import scorecardpy

random = np.random.default_rng(1)
ROWS = 5_000
labels = {name: pd.Series(random.integers(0, 2, ROWS)) for name in ("actual", "expected")}


def index(expected, actual):
    """What perf_psi says, and how many of the actual rows its bins hold."""
    score = {"actual": pd.DataFrame({"score": actual}), "expected": pd.DataFrame({"score": expected})}
    result = scorecardpy.perf_psi(score=score, label=dict(labels), show_plot=False, return_distr_dat=True)
    return result["psi"]["PSI"].iloc[0], int(result["dat"]["score"]["N"]["actual"].sum())


def right(expected, actual, edges):
    """The index of the same rows, by these edges and all that is above them."""
    shares = [np.histogram(values, [*edges, np.inf])[0].clip(1) / ROWS for values in (actual, expected)]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


print(f"scorecardpy {version('scorecardpy')}; by its documentation, more than 0.25 is a major shift")
seen = {}
for cap in (849, 850):
    expected, actual = (random.normal(600, 80, ROWS).round().clip(300, cap) for _ in range(2))
    actual[: ROWS // 2] = cap
    seen[cap] = index(expected, actual)
    print(f"  half of {ROWS:,} rows have the highest score, {cap}: index {seen[cap][0]:.2f} of {seen[cap][1]:,} rows; "
          f"right: {right(expected, actual, [*range(300, 801, 50), cap]):.2f}")
expected, actual = random.beta(2, 5, ROWS), random.beta(5, 2, ROWS)
seen["share"] = index(expected, actual)
print(f"  probabilities of mean {expected.mean():.2f}, then {actual.mean():.2f}: index {seen['share'][0]:.2f}; "
      f"right, in ten bins: {right(expected, actual, np.arange(10) / 10):.2f}")
if not (seen[849][0] > 2 and seen[849][1] == ROWS and seen[850][0] < 0.05 and seen[850][1] < 0.51 * ROWS
        and seen["share"] == (0, ROWS)):
    sys.exit(f"CHANGED: {seen}")
PY
