#!/usr/bin/env bash
#
# What surprises: the Population Stability Index of toad leaves out each value, or bin,
# that occurs in only one of two samples. If a tenth of the rows loses its value, having
# had one before, it is 0.01, "no change"; if all rows have a new value, it is 0.0. Usually an
# empty bin counts as a small share, which gives 0.5 and 14. Without combiner= each number
# is a value of its own, and the index of any two columns of floats is 0.
# The same package turns the AUC round once one score is greater than 1: a probability of
# 1.0000001, which sums in float32 give, makes 0.09 of 0.91.
# Nothing warns, and the documentation says neither.
#
# Whom it concerns: whoever watches by it what has not been there before: missing values,
# codes, countries, versions; or rates by this AUC what is not exactly a probability.
#
# Expected: a large index, or infinity; and an AUC that goes by the order of the scores.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    toad==0.1.7 pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from toad.metrics import AUC, PSI

random = np.random.default_rng(1)
ROWS = 1_000


def right(test, base):
    """The index with half a row in a place that is empty."""
    counts = [sample.value_counts(dropna=False) for sample in (test, base)]
    values = counts[0].index.union(counts[1].index)
    test_share, base_share = (count.reindex(values, fill_value=0).clip(lower=0.5) / ROWS for count in counts)
    return float(((test_share - base_share) * np.log(test_share / base_share)).sum())


def whole_numbers(sample):
    """The sample with floats in bins of width 1."""
    return np.floor(sample) if sample.dtype == float else sample


print(f"toad {version('toad')}")
codes = pd.Series(random.choice(["a", "b"], ROWS))
floats = [pd.Series(random.normal(mean, 1, ROWS)) for mean in (5, 0)]
cases = {
    "a tenth of the rows has lost its value": (codes.mask(codes.index < ROWS // 10), codes),
    "all rows have a new value": (pd.Series(["c"] * ROWS), codes),
    "floats of mean 5 instead of 0": floats,
}
changed = []
for name, samples in cases.items():
    index, usual = float(PSI(*samples)), right(*(whole_numbers(sample) for sample in samples))
    print(f"  {name}: index {index:.2f}, usually {usual:.2f}")
    if not (index < 0.02 and usual > 0.5):
        changed.append(f"{name}: {index}")
outcome = random.integers(0, 2, ROWS)
score = np.clip(random.normal(0.3 + 0.4 * outcome, 0.2), 0, 1).astype(np.float32)
for highest in (np.float32(1), np.nextafter(np.float32(1), np.float32(2))):
    score[score >= 1] = highest
    found, usual = AUC(score, outcome), roc_auc_score(outcome, score)
    print(f"  AUC of scores up to {highest}: {found:.2f}, of scikit-learn {usual:.2f}")
    if not (usual > 0.9 and (found == usual if highest == 1 else found < 0.1)):
        changed.append(f"AUC {found}")
if changed:
    sys.exit(f"CHANGED: {'; '.join(changed)}")
PY
