#!/usr/bin/env bash
#
# What surprises: once bottleneck is installed, which pandas recommends for speed, the
# standard deviation of a float32 column is far off: 260 instead of 1 for a million
# values around 20,000. Nothing else of the program changes. bottleneck adds up mean
# and squares in float32, one value after the other, which loses more the more rows
# there are; numpy, which pandas takes without it, adds up in pairs and loses little.
# The mean is right, since pandas does not leave sums to bottleneck for this reason,
# and float64 columns are right as well.
#
# Whom it concerns: whoever keeps features in float32, as most models make them, and
# tells what is farther than three deviations off: with 260 for 1, that is never.
#
# Expected: that an optional package for speed changes last digits at most.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
cat > "$tmp/show.py" <<'PY'
import json
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd

random = np.random.default_rng(1)
values = (20_000 + random.normal(0, 1, 1_000_000)).astype(np.float32)
values[-1] += 50  # fifty deviations off
column = pd.Series(values, name="x")
seen = {}
for rows in (10_000, 100_000, 1_000_000):
    part = column[-rows:]
    right = part.to_numpy().astype(np.float64).std(ddof=1)
    far = int(((part - part.mean()).abs() > 3 * part.std()).sum())
    seen[rows] = [float(part.std()), float(part.var()), float(part.mean()), far]
    print(f"  {rows:9,} values: mean {part.mean():.1f}, deviation {part.std():8.3f} (in float64 {right:.3f}); "
          f"farther than three of them: {far:,}")
with open(sys.argv[1], "w") as file:
    json.dump(seen, file)
PY
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
echo "pandas 3.1.1, numpy 2.4.6, without bottleneck"
"$tmp/venv/bin/python" "$tmp/show.py" "$tmp/without.json"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check bottleneck==1.6.0
echo "the same with bottleneck 1.6.0"
"$tmp/venv/bin/python" "$tmp/show.py" "$tmp/with.json"
"$tmp/venv/bin/python" - "$tmp" <<'PY'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
without, with_it = (json.loads((folder / name).read_text())["1000000"] for name in ("without.json", "with.json"))
if not (0.9 < without[0] < 1.1 and without[3] > 1000 and with_it[0] > 100 and with_it[3] == 0):
    sys.exit(f"CHANGED: {without} without, {with_it} with bottleneck")
PY
