#!/usr/bin/env bash
#
# What surprises: DropHighPSIFeatures of Feature-engine cuts the rows somewhere else if
# cut_off=0: in two halves, at the median of split_col, as if nothing had been given. All
# other numbers are taken, 0.5 and -0.5 too. Of a column that changes with day 1, days
# counted from a release, the PSI is 0.02 by cut_off=0 and 0.46 by cut_off=0.5, which make
# the same two groups of days: the feature is kept by the one and dropped by the other. The
# documentation says that split_frac is ignored if cut_off is not None. Nothing warns;
# cut_off_ tells after the fit.
#
# Whom it concerns: whoever splits by days since a release, by a margin, by a difference
# from a limit: 0 is the natural place to cut there.
#
# Expected: that 0 is a number.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    feature-engine==1.9.4 pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from feature_engine.selection import DropHighPSIFeatures

random = np.random.default_rng(1)
day = np.repeat(np.arange(-90, 10), 50)
rows = pd.DataFrame({"day": day, "amount": random.normal(np.where(day > 0, 0.8, 0))})

print(f"Feature-engine {version('feature-engine')}; days from {day.min()} to {day.max()}, "
      f"of which {len(set(day[day > 0]))} are greater than 0")
seen = {}
for cut in (-1, 0, 0.5, 1):
    selector = DropHighPSIFeatures(split_col="day", cut_off=cut).fit(rows)
    seen[cut] = selector.cut_off_, selector.psi_values_["amount"]
    days = len(set(day[day > selector.cut_off_]))
    print(f"  cut_off={cut}: cut at {selector.cut_off_}, {days} days are compared with the others; "
          f"PSI of the amount {seen[cut][1]:.2f}, dropped: {selector.features_to_drop_}")
taken = [cut for cut, (used, _) in seen.items() if used == cut]
if taken != [-1, 0.5, 1] or not (seen[0][1] < 0.1 and seen[0.5][1] > 0.4):
    sys.exit(f"CHANGED: {seen}")
PY
