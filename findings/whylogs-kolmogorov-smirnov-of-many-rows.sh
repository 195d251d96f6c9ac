#!/usr/bin/env bash
#
# What surprises: the Kolmogorov-Smirnov test of whylogs tells two samples of one
# distribution apart once they have about a million rows: by its own threshold some three
# in four pairs are a DRIFT, of p-values below 0.05, where it should be one in twenty. With
# ten thousand rows it is right. Its profiles keep some 3,000 values of a column, and give
# shares that are off by one to three in a thousand; the p-value takes them for exact, and
# for a million rows two in a thousand are a difference. The documentation calls the
# statistic approximate, but says nothing of the number of rows.
#
# Whom it concerns: whoever compares profiles of days with millions of rows: all columns
# drift, each day, and the one that does is lost among them.
#
# Expected: a p-value that allows for the error of the profile, which it can tell
# (normalized_rank_error), or a warning.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    whylogs==1.6.4 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1 ipython==9.18.1

WHYLOGS_NO_ANALYTICS=True "$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import whylogs
from scipy.stats import ks_2samp
from whylogs.viz.drift.column_drift_algorithms import KS

random = np.random.default_rng(1)
PAIRS = 10


def profile(values):
    return whylogs.log(pd.DataFrame({"x": values})).view().get_column("x")


print(f"whylogs {version('whylogs')}; {PAIRS} pairs of samples of one normal distribution each")
drifts = {}
for rows in (10_000, 1_000_000):
    found, right = [], []
    for _ in range(PAIRS):
        pair = random.normal(size=(2, rows))
        profiles = [profile(values) for values in pair]
        found.append(KS().calculate(*profiles, with_thresholds=True))
        right.append(ks_2samp(*pair).pvalue)
    error = profiles[0].get_metric("distribution").kll.value.normalized_rank_error(False)
    drifts[rows] = sum(score.drift_category == "DRIFT" for score in found)
    print(f"  {rows:9,} rows: {drifts[rows]} of {PAIRS} are a DRIFT, median p-value "
          f"{np.median([score.pvalue for score in found]):.4f}; of scipy {np.median(right):.4f}, "
          f"{sum(p < 0.05 for p in right)} below 0.05; error of a profile: {error:.4f}")
if not (drifts[10_000] <= 2 and drifts[1_000_000] >= 3):
    sys.exit(f"CHANGED: drifts by rows {drifts}")
PY
