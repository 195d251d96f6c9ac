#!/usr/bin/env bash
#
# What surprises: treelite loads a LightGBM model that was trained with
# zero_as_missing=true without a word, and its predictions are others than those of
# LightGBM: it treats zero as a number and only NaN as missing. Probabilities are off
# by up to 0.9, in most rows that have a zero. Without that setting they are equal. Its
# makers were told in 2022 (dmlc/treelite, issue 376).
#
# Whom it concerns: whoever serves LightGBM's models of sparse data by treelite, or by
# what is built on it, and watches the metrics of the model as trained.
#
# Expected: the predictions of the model, or an error: the file of the model notes at
# every split that zero is missing there (decision_type=6 instead of 2).
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    treelite==4.8.1 lightgbm==4.7.0 numpy==2.4.6 scipy==1.17.1

"$tmp/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import lightgbm
import numpy as np
import treelite

ROWS = 3000
random = np.random.default_rng(1)
rows = random.normal(size=(ROWS, 4))
rows[random.random(rows.shape) < 0.3] = 0
zero = (rows == 0).any(axis=1)
labels = np.where(rows[:, 0] == 0, 2, rows[:, 0]) + random.normal(size=ROWS) / 3 > 1


def compute_loss(shares):
    right = np.where(labels, shares, 1 - shares)
    return -np.log(np.maximum(right, 1e-15)).mean()


print(f"treelite {version('treelite')}, lightgbm {version('lightgbm')}; "
      f"{ROWS:,} rows, {zero.sum():,} of them with a zero")
changed = []
for setting in (False, True):
    settings = {"objective": "binary", "zero_as_missing": setting, "num_threads": 1, "verbose": -1}
    model = lightgbm.train(settings, lightgbm.Dataset(rows, labels), num_boost_round=20)
    own = model.predict(rows)
    taken = np.squeeze(treelite.gtil.predict(treelite.frontend.from_lightgbm(model), rows))
    off = np.abs(taken - own)
    print(f"  zero_as_missing {setting}: off by up to {off.max():.2f}, "
          f"by more than 0.01 in {np.sum(off > 0.01):,} rows; "
          f"log loss by LightGBM {compute_loss(own):.3f}, by treelite {compute_loss(taken):.3f}")
    if (off.max() > 0.1) != setting or off[~zero].max() > 1e-6:
        changed.append(str(setting))
if changed:
    sys.exit(f"CHANGED: with zero_as_missing {', '.join(changed)}")
PY
