#!/usr/bin/env bash
#
# What surprises: one far value among the current rows makes Evidently's drift
# measures psi, kl_div, jensenshannon and hellinger of a numerical column close to
# nought, however much all other rows have drifted. The bins are of equal width
# from the smallest to the largest value of both data sets, so that all rows but
# the far one share a bin. (The function that makes the bins says that they are
# quantiles of the reference, and its number of bins is not used.)
#
# Whom it concerns: whoever watches amounts, durations or readings of sensors. The
# fault that brings the drift, such as a wrong unit, often brings far values too.
#
# Expected: bins of the reference, with the first and the last one open.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    evidently==0.7.23 pandas==2.3.3 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 statsmodels==0.15.0

DO_NOT_TRACK=1 "$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from evidently import Report
from evidently.metrics import ValueDrift

METHODS = ("psi", "kl_div", "jensenshannon", "hellinger")
before = pd.DataFrame({"x": np.linspace(90, 110, 5000)})
drifted = before + 50  # no value of before comes again
one_far = drifted.copy()
one_far.loc[0, "x"] = 1e6


def measure(now):
    """Value and verdict of each method."""
    report = Report([ValueDrift(column="x", method=method) for method in METHODS], include_tests=True)
    run = report.run(now, before).dict()
    return [(float(one["value"]), test["status"].value) for one, test in zip(run["metrics"], run["tests"], strict=True)]


def compute_psi(now):
    """PSI of ten bins with equal shares of the reference; an empty one holds 0.0001."""
    edges = np.quantile(before["x"], np.linspace(0, 1, 11)[1:-1])
    old, new = (np.bincount(np.searchsorted(edges, x), minlength=10) / len(x) for x in (before["x"], now["x"]))
    old, new = np.maximum(old, 1e-4), np.maximum(new, 1e-4)
    return np.sum((old - new) * np.log(old / new))


print(f"evidently {version('evidently')}; before: 5,000 values from 90 to 110; now: each larger by 50")
for name, now in (("as they are", drifted), ("one of them 1,000,000", one_far)):
    seen = measure(now)
    print(f"  {name}: " + ", ".join(f"{method} {value:.2g} {told}"
          for method, (value, told) in zip(METHODS, seen, strict=True)))
    print(f"    PSI by tenths of the reference: {compute_psi(now):.2g}")
    if {told for _, told in seen} != {"FAIL" if now is drifted else "SUCCESS"}:
        sys.exit(f"CHANGED: {name}: {seen}")
PY
