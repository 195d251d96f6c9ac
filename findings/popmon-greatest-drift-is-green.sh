#!/usr/bin/env bash
#
# What surprises: popmon's traffic lights are green in two cases of great change,
# since a number that cannot be computed counts as green.
#   - The p-value of the Kolmogorov-Smirnov test is NaN instead of 0 once the drift
#     is great: of 1,000 rows a day, one standard deviation. Half of that is red.
#   - A count that has been the same on nearly all days has a deviation of nought,
#     and so no bounds: if the days before had no missing values, and now half of
#     the values are missing, the light of the missing values is green.
#
# Whom it concerns: whoever has these two lights wake somebody. The first missing
# values are mostly a fault; among others they would have been red.
#
# Expected: red, or at least a light of its own for what was not computed.
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

DAYS, ROWS = 15, 1000
LIGHTS = {0: "green", 1: "yellow", 2: "red"}
columns = ("half", "whole", "first_missing", "more_missing")
random = np.random.default_rng(1)
days = pd.date_range("2026-01-01", periods=DAYS)
frame = pd.DataFrame({"day": np.repeat(days, ROWS)} | {name: random.normal(size=DAYS * ROWS) for name in columns})
last = frame["day"] == days[-1]
frame.loc[last, "half"] += 0.5
frame.loc[last, "whole"] += 1
frame.loc[last & (random.random(len(frame)) < 0.5), ["first_missing", "more_missing"]] = np.nan
frame.loc[~last & (random.random(len(frame)) < 0.01), "more_missing"] = np.nan  # the days before had a few

store = popmon.df_stability_metrics(
    frame, time_axis="day", time_width="1d", time_offset="2026-01-01", features=[f"day:{name}" for name in columns]
)
print(f"popmon {version('popmon')}, {DAYS} days of {ROWS:,} rows; the last day:")
seen = {}
for name, what, key, group, light in (
    ("half", "all values larger by half a standard deviation", "prev1_ks_pvalue", "comparisons", "prev1_ks_zscore"),
    ("whole", "all values larger by a standard deviation", "prev1_ks_pvalue", "comparisons", "prev1_ks_zscore"),
    ("more_missing", "half of the values missing, before about 10 a day", "nan", "profiles", "nan_pull"),
    ("first_missing", "half of the values missing, before none", "nan", "profiles", "nan_pull"),
):
    found = LIGHTS[store["traffic_lights"][name][light].iloc[-1]]
    seen[name] = found
    print(f"  {what}: {key} {store[group][name][key].iloc[-1]:.3g}, its light is {found}")
if seen != {"half": "red", "whole": "green", "more_missing": "red", "first_missing": "green"}:
    sys.exit(f"CHANGED: the lights are {seen}")
PY
