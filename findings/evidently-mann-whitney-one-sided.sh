#!/usr/bin/env bash
#
# What surprises: Evidently's drift test "mannw" (Mann-Whitney U) only looks for
# values that have become larger. If all values of a column fall to half of what
# they were, the p-value is 1 and the test passes. The function says that it
# returns the two-tailed p-value, but asks scipy for alternative="less".
#
# Whom it concerns: whoever watches a number whose fall matters, such as a score,
# a sum of sales or a temperature: its fall is never told, however large.
#
# Expected: the two-sided test, which scipy has by default.
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
from scipy.stats import mannwhitneyu

print(f"evidently {version('evidently')}, scipy {version('scipy')}; 500 values around 100 before")
before = pd.DataFrame({"x": np.linspace(90, 110, 500)})
seen = {}
for level in (150, 50):
    now = before - 100 + level
    run = Report([ValueDrift(column="x", method="mannw")], include_tests=True).run(now, before).dict()
    two_sided = mannwhitneyu(before["x"], now["x"]).pvalue
    seen[level] = run["tests"][0]["status"].value
    print(f"  now around {level:3}: p-value {run['metrics'][0]['value']:.3g}, the test says {seen[level]}; "
          f"two-sided, by scipy: {two_sided:.3g}")
if seen != {150: "FAIL", 50: "SUCCESS"}:
    sys.exit(f"CHANGED: the tests say {seen}")
PY
