#!/usr/bin/env bash
#
# What surprises: ot.wasserstein_1d and ot.sliced_wasserstein_distance of POT are 0 for
# any two samples of whole numbers. Without weights each value gets 1/n, in the type of
# the samples: among whole numbers that is 0. Nothing warns; ot.emd2_1d of the same
# arrays is right, and so are all three after astype(float).
#
# Whom it concerns: whoever measures the drift of counts, ages, prices in cents or
# seconds: the distance is nought, whatever happens to them.
#
# Expected: the distance of the same numbers as floats, or an error.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check pot==0.9.7.post1 numpy==2.4.6 scipy==1.17.1

"$tmp/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import ot
from scipy.stats import wasserstein_distance

random = np.random.default_rng(1)
before, now = random.poisson(30, 1000), random.poisson(60, 1000)


def measure_sliced(x, y):
    return ot.sliced_wasserstein_distance(x[:, None], y[:, None], seed=1)


def measure_emd(x, y):
    return ot.emd2_1d(x, y, metric="cityblock")


naive = np.abs(np.sort(before) - np.sort(now)).mean()
print(f"POT {version('pot')}, numpy {version('numpy')}; "
      f"1,000 counts of mean {before.mean():.1f} before, {now.mean():.1f} now")
print(f"  mean distance of the sorted values {naive:.2f}, by scipy {wasserstein_distance(before, now):.2f}")
changed = []
for measure, expected in ((ot.wasserstein_1d, 0), (measure_sliced, 0), (measure_emd, naive)):
    whole = [float(measure(before.astype(kind), now.astype(kind))) for kind in (np.int64, np.int32, np.uint32)]
    real = float(measure(before.astype(float), now.astype(float)))
    name = measure.__name__
    print(f"  {name:14} of int64, int32, uint32: {', '.join(f'{one:.2f}' for one in whole)}; of float64: {real:.2f}")
    if not (np.allclose(whole, expected) and 29 < real < 32):
        changed.append(name)
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
