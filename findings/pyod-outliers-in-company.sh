#!/usr/bin/env bash
#
# What surprises: ECOD and COPOD of PyOD, fitted once, score a row by the rows that are
# scored with it. An outlier that is certain alone is none among a hundred like it, and
# none among a thousand: predict puts each batch beside the rows of the training and
# takes the shares of the whole, so that what is frequent in the batch is ordinary. Of a
# batch whose mean has moved by six standard deviations, 2 in 100 rows are outliers; the
# same rows asked for one by one all are. Its other detectors, such as Isolation Forest,
# score by the training alone. The documentation of decision_function speaks of "the
# fitted detector"; the makers, told in 2022 (yzhao062/pyod, issue 401), hold it intended.
#
# Whom it concerns: whoever scores a model's inputs by the day, and alerts by the share of
# outliers: the more rows are far off, the fewer are told. And whoever compares days with
# different numbers of rows.
#
# Expected: that a fitted detector gives a row one score.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    pyod==3.6.7 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest

random = np.random.default_rng(1)
training = random.normal(size=(1_000, 3))
far = np.full((1, 3), 6.0)
moved = random.normal(loc=6, size=(1_000, 3))
print(f"pyod {version('pyod')}, trained with {len(training):,} rows of mean 0 and deviation 1, "
      "1 in 100 of them outliers")
for detector in (ECOD(contamination=0.01), COPOD(contamination=0.01), IForest(contamination=0.01, random_state=1)):
    detector.fit(training)
    name = type(detector).__name__
    told = {}
    for rows in (1, 10, 100, 1_000):
        batch = np.repeat(far, rows, axis=0)
        told[rows] = int(detector.predict(batch).sum())
        print(f"  {name:7} a row at 6, 6, 6, {rows:5,} times: score {detector.decision_function(batch)[0]:6.2f}, "
              f"threshold {detector.threshold_:.2f}: {told[rows]:,} outliers")
    together = detector.predict(moved).mean()
    alone = np.mean([detector.predict(row[None])[0] for row in moved[:100]])
    print(f"  {name:7} rows of mean 6: {together:.1%} are outliers together, "
          f"{alone:.1%} of a hundred of them one by one")
    if name == "IForest":
        if told != {1: 1, 10: 10, 100: 100, 1_000: 1_000} or not together > 0.99:
            sys.exit(f"CHANGED: {name} finds {told}")
    elif not (told[1] == 1 and told[100] == told[1_000] == 0 and together < 0.05 and alone > 0.99):
        sys.exit(f"CHANGED: {name} finds {told}, {together:.1%} together, {alone:.1%} alone")
PY
