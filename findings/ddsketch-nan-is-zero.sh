#!/usr/bin/env bash
#
# What surprises: DDSketch.add of a NaN counts it as the value 0. If three in five
# values are NaN, the median is 0, though none of the values is; sum and avg are NaN.
# And quantiles of weighted values are too small where the sum of the weights is: they
# are sought at the rank q * (sum of weights - 1). For a sum below one each of them is
# about -1, though no value is negative.
#
# Whom it concerns: whoever sends durations or scores to a sketch: a model or a sensor
# that fails gives NaN, and the percentiles fall, for which no alert "too slow" waits.
# And whoever weighs rows by importance or by age.
#
# Expected: an error, as for infinity, or that NaN is not counted; and the weighted
# quantile.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check ddsketch==3.0.1 numpy==2.4.6

"$tmp/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from ddsketch import DDSketch

QUANTILES = (0.25, 0.5, 0.75, 0.95)
random = np.random.default_rng(1)


def find(values, weight=1.0):
    """Quantiles of a sketch to which the values were added."""
    sketch = DDSketch(0.01)
    for value in values.tolist():
        sketch.add(value, weight)
    return [sketch.get_quantile_value(quantile) for quantile in QUANTILES], sketch


values = random.lognormal(5, 0.5, 1000)
print(f"ddsketch {version('ddsketch')}; quantiles {QUANTILES}")
changed = []
right = np.quantile(values, QUANTILES)
print(f"  1,000 durations:                  {np.round(right, 1)}")
for name, found, wrong in (
    ("by the sketch", find(values)[0], False),
    ("with 1,500 NaN among them", find(np.append(values, np.full(1500, np.nan)))[0], True),
    ("each of weight 0.1", find(values, 0.1)[0], False),
    ("each of weight 0.0005", find(values, 0.0005)[0], True),
):
    print(f"  {name:33} {np.round(found, 1)}")
    if (abs(found[1] / right[1] - 1) > 0.5) != wrong:
        changed.append(name)
sketch = find(np.array([1.0, np.nan]))[1]
print(f"  1 and NaN: count {sketch.count}, avg {sketch.avg}")
if sketch.count != 2 or find(np.append(values, np.full(1500, np.nan)))[0][1] != 0:
    changed.append("the count or the median of NaN")
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
