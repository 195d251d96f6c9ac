#!/usr/bin/env bash
#
# What surprises: percentiles of tdigest lie where no value is, below the smallest of
# all as well, if values are tied. Of a thousand fives and a ten, the quartiles are 2.5,
# 5 and 7.5. Of response codes, nine in ten of them 200, the quartile is 117 and the
# median 221; of counts that are never negative, a quarter is "below -0.41". Equal values
# become one centroid, and the percentile is taken from a line through it, however many
# rows it stands for. For values that differ all percentiles are right. Its makers were
# told in 2022 that equal values are a trouble (CamDavidsonPilon/tdigest, issue 60).
#
# Whom it concerns: whoever watches percentiles of counts, codes, marks, prices or of
# durations in whole seconds.
#
# Expected: a percentile among the values, or at least not outside of their range.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check tdigest==0.5.2.2 numpy==2.4.6

"$tmp/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from tdigest import TDigest

ASKED = (10, 25, 50, 75)
random = np.random.default_rng(1)
COLUMNS = {
    "fives and a ten": np.append(np.full(1000, 5), 10),
    "response codes": random.choice([200, 404, 500], 10_000, p=[0.9, 0.08, 0.02]),
    "counts, mean 0.1": random.poisson(0.1, 10_000),
    "no two are equal": random.normal(100, 10, 10_000),
}
print(f"tdigest {version('tdigest')}; percentiles {', '.join(map(str, ASKED))}")
changed = []
for name, values in COLUMNS.items():
    digest = TDigest()
    digest.batch_update(values.astype(float))
    found = [digest.percentile(percent) for percent in ASKED]
    right = np.percentile(values, ASKED)
    print(f"  {name:18} " + ", ".join(f"{one:.2f}" for one in found)
          + f"; of the sorted values {', '.join(f'{one:.2f}' for one in right)}; smallest value {values.min():.4g}")
    if (found[0] < values.min()) != (name != "no two are equal"):
        changed.append(name)
    if name == "no two are equal" and np.abs(found - right).max() > 0.5:
        changed.append(name)
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
