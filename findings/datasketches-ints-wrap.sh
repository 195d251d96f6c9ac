#!/usr/bin/env bash
#
# What surprises: the sketches of quantiles for whole numbers of datasketches
# (kll_ints_sketch, quantiles_ints_sketch, req_ints_sketch) hold 32 bits, and an array of
# numpy is cut to them without a word: 2**31 + 5 becomes -2147483643, and the smallest
# value, the median and all shares with it; 0.9 becomes 0. The same number alone,
# update(2**31 + 5), is refused by a TypeError, and so is update(0.9).
#
# Whom it concerns: whoever sketches amounts in cents, bytes or times from a column of
# 64 bits, which pandas and polars give for whole numbers.
#
# Expected: the error of a single number for an array that does not fit as well.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check datasketches==5.2.0 numpy==2.4.6

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import datasketches
import numpy as np

random = np.random.default_rng(1)
COLUMNS = {
    "bytes, 1 to 6 GB": random.integers(1_000_000_000, 6_000_000_000, 10_000),
    "microseconds since 1970": 1_767_225_600_000_000 + random.integers(0, 86_400_000_000, 10_000),
    "shares, 0 to 0.99": random.uniform(0, 0.99, 10_000),
}
print(f"datasketches {version('datasketches')}")
changed = []
for kind, size in (("kll_ints_sketch", 200), ("quantiles_ints_sketch", 128), ("req_ints_sketch", 12)):
    for name, values in COLUMNS.items():
        sketch = getattr(datasketches, kind)(size)
        sketch.update(values)
        print(f"  {kind:22} {name:24} smallest {sketch.get_min_value():>12,} for {values.min():,.4g}, "
              f"median {sketch.get_quantile(0.5):>12,} for {np.median(values):,.4g}")
        if (name.startswith("shares") and sketch.get_max_value() != 0) or (
            not name.startswith("shares") and sketch.get_min_value() >= 0
        ):
            changed.append(f"{kind}: {name}")
        try:
            sketch.update(values.max().item())
        except TypeError:
            pass
        else:
            changed.append(f"{kind}: one value of {name}")
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
