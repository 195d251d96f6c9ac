#!/usr/bin/env bash
#
# What surprises: NannyML estimates the average precision of a model from its
# scores. Where scores are tied, the estimate is not what scikit-learn calls the
# average precision of such data, however many rows there are and however well
# the scores are calibrated: each row is a threshold of its own, also within a
# tie, where scikit-learn has one threshold for each distinct score. The package
# also imports statsmodels, which it does not require.
#
# Whom it concerns: whoever compares an estimate with the realised value, of
# models with few distinct scores, such as trees or scores rounded to two digits.
#
# Expected: the two agree if each score is the share of positives among its rows.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    nannyml==0.13.1 statsmodels==0.15.0 setuptools==80.10.2 numpy==2.2.6 pandas==2.3.3 scipy==1.17.1 \
    scikit-learn==1.7.2 pyarrow==26.0.1 plotly==5.24.1 kaleido==0.2.1 lightgbm==4.5.0 flaml==2.8.0 \
    matplotlib==3.11.2 fsspec==2026.9.0 s3fs==2026.9.0 aiobotocore==3.10.0

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import requires, version

import numpy as np
from nannyml.performance_estimation.confidence_based.metrics import estimate_ap
from sklearn.metrics import average_precision_score

scores = np.repeat([0.9, 0.1], 500)
labels = np.concatenate([np.ones(450), np.zeros(50), np.ones(50), np.zeros(450)])  # exactly as the scores say
estimated = float(estimate_ap(scores, scores))
realised = float(average_precision_score(labels, scores))
required = any(one.startswith("statsmodels") for one in requires("nannyml") or ())
print(f"nannyml {version('nannyml')}, 1,000 rows with two distinct scores, perfectly calibrated")
print(f"  estimated average precision: {estimated:.4f}")
print(f"  scikit-learn's, of labels that are as the scores say: {realised:.4f}")
print(f"  statsmodels is required by the package: {required}")
if abs(estimated - realised) < 0.01:
    sys.exit("CHANGED: the estimate agrees with scikit-learn")
PY
