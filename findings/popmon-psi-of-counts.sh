#!/usr/bin/env bash
#
# What surprises: popmon's Population Stability Index, its Jensen-Shannon
# divergence and its "spike count" are not the measures of these names. The first
# two are computed of counts of rows, not of shares: the PSI of two days of one
# distribution, of which one has twice the rows, is in the hundreds, and all
# values of a column come out ten times larger where there are ten times the
# rows. The third, described as the number of residuals above a threshold, is
# the sum of these residuals.
#
# Whom it concerns: whoever compares them with the usual thresholds (0.1 and 0.25
# of the PSI), or with the divergence's greatest possible value, ln 2.
#
# Expected: shares; and a count.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    popmon==1.4.12 pandas==3.1.1 numpy==2.4.6 scipy==1.17.1 setuptools==80.10.2

"$tmp/venv/bin/python" -W ignore - 2>"$tmp/log" <<'PY' || { cat "$tmp/log"; exit 1; }
import logging
import sys
from importlib.metadata import version

logging.disable(logging.WARNING)

import numpy as np
import pandas as pd
import popmon
from scipy.spatial.distance import jensenshannon

SHARES = np.array([0.4, 0.3, 0.2, 0.1])


def compare(*rows_of_days):
    """Measures of the last day against the day before, by popmon."""
    days = pd.date_range("2026-01-01", periods=len(rows_of_days))
    frame = pd.DataFrame({
        "day": np.repeat(days, [sum(rows) for rows in rows_of_days]),
        "x": np.concatenate([np.repeat([0.0, 1.0, 2.0, 3.0], rows) for rows in rows_of_days]),
    })
    store = popmon.df_stability_metrics(
        frame, time_axis="day", time_width="1d", time_offset="2026-01-01", features=["day:x"],
        bin_specs={"x": {"bin_width": 1.0, "bin_offset": -0.5}},
    )
    return store["comparisons"]["x"].filter(like="prev1_").iloc[-1]


def compute(before, now):
    """PSI and Jensen-Shannon divergence of shares."""
    before, now = (np.array(one) / sum(one) for one in (before, now))
    return ((now - before) * np.log(now / before)).sum(), jensenshannon(before, now) ** 2


print(f"popmon {version('popmon')}, two days of four values each")
found = {}
for name, before, now in (
    ("the same shares, twice the rows", (400, 300, 200, 100), (800, 600, 400, 200)),
    ("other shares, 1,000 rows", (400, 300, 200, 100), (300, 300, 200, 200)),
    ("other shares, 10,000 rows", (4000, 3000, 2000, 1000), (3000, 3000, 2000, 2000)),
):
    found[name] = one = compare(before, before, now)
    psi, divergence = compute(before, now)
    print(f"  {name}:\n    by popmon, PSI {one['prev1_psi']:.4g}, divergence {one['prev1_jsd']:.4g}, "
          f"spikes {one['prev1_chi2_spike_count']:.4g}\n    by definition, PSI {psi:.4g}, divergence {divergence:.4g}")
same, few, many = found.values()
if same["prev1_psi"] < 100 or not 9.9 < many["prev1_psi"] / few["prev1_psi"] < 10.1 or few["prev1_jsd"] < np.log(2):
    sys.exit("CHANGED: the measures are not of counts any more")
if float(many["prev1_chi2_spike_count"]).is_integer():
    sys.exit("CHANGED: the spike count is a whole number")
PY
