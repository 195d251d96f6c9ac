#!/usr/bin/env bash
#
# What surprises: the code that m2cgen makes of a model answers otherwise than the model,
# without an error or a warning, in three cases:
#   - scikit-learn's trees and forests send a missing value where training found it
#     best; the code compares it like a number.
#   - scikit-learn's trees compare in float32, the code in float64: a value of two
#     decimals that is a threshold goes the other way.
#   - LightGBM's linear_tree: the linear models in the leaves are left out.
# Other trees of LightGBM, with missing values among the rows, are right.
#
# Whom it concerns: whoever serves the code, and judges it by the metrics of the model.
#
# Expected: the same answers, or an error, as for some other settings.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    m2cgen==0.10.0 lightgbm==4.7.0 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import lightgbm
import m2cgen
import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

ROWS = 2000
random = np.random.default_rng(1)
rows = random.normal(size=(ROWS, 4))
rounded = rows.round(2)
missing = np.where(random.random(rows.shape) < 0.1, np.nan, rows)
labels = np.nan_to_num(missing[:, 0], nan=-2) + random.normal(size=ROWS) / 3
settings = {"n_estimators": 20, "n_jobs": 1}
quiet = {**settings, "verbose": -1}


def compare(model, rows, labels):
    """By how much the code is off, and in how large a share of the rows."""
    model.fit(rows, labels)
    names = {}
    exec(m2cgen.export_to_python(model), names)
    off = np.abs(np.array([names["score"](row.tolist()) for row in rows]) - model.predict(rows))
    return off.max(), np.mean(off > 1e-6)


print(f"m2cgen {version('m2cgen')}, scikit-learn {version('scikit-learn')}, lightgbm {version('lightgbm')}")
changed = []
for name, model, columns, target, wrong in (
    ("LightGBM, missing values", lightgbm.LGBMRegressor(**quiet), missing, labels, False),
    ("LightGBM, linear_tree", lightgbm.LGBMRegressor(linear_tree=True, **quiet), rows, labels, True),
    ("extra trees", ExtraTreesRegressor(random_state=1, **settings), rows, labels, False),
    ("extra trees, missing values", ExtraTreesRegressor(random_state=1, **settings), missing, labels, True),
    ("forest of two decimals", RandomForestRegressor(random_state=1, **settings), rounded, rounded[:, 0] * 3, True),
):
    largest, share = compare(model, columns, target)
    print(f"  {name:28} off by up to {largest:.2g}, in {share:.1%} of the rows")
    if (largest > 1e-3) != wrong:
        changed.append(name)
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
