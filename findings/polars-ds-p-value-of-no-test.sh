#!/usr/bin/env bash
#
# What surprises: the field "pvalue" of ks_2samp of polars_ds is no p-value. It is the
# distance from which on two samples of that size differ at 5 %, and depends on nothing
# but the numbers of rows: 0.061 for 1,000 rows each, whether the samples are equal or a
# whole standard deviation apart, and 0.019 for 10,000. Whoever asks for pvalue < 0.05
# finds no drift with few rows, whatever there is, and drift in each column with more than
# 1,475. That it is a threshold is documented; but the t-test, the normality test, the
# F-test and the chi-square test of the package have p-values in fields of that name. Also
# documented: with fewer than 30 values the distance is 0, so that a column that has become
# all but empty has not changed at all.
#
# Whom it concerns: whoever tests columns by an expression of polars, all tests alike.
#
# Expected: another name for it; and no distance where there are too few values.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    polars-ds==0.13.0 polars==2.1.0 numpy==2.4.6 scipy==1.17.1

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import polars as pl
import polars_ds as pds
from scipy import stats

random = np.random.default_rng(1)
changed = []


def ask(test, frame):
    return frame.select(test("before", "after").alias("result"))["result"][0]


print(f"polars_ds {version('polars-ds')}, polars {pl.__version__}")
for rows in (1_000, 10_000):
    for shift in (0, 1):
        before, after = random.normal(size=rows), random.normal(shift, size=rows)
        frame = pl.DataFrame({"before": before, "after": after})
        distance, t = ask(pds.ks_2samp, frame), ask(pds.ttest_ind, frame)
        right = stats.ks_2samp(before, after)
        print(f"  {rows:6,} rows each, means {shift} apart: ks_2samp {distance['statistic']:.3f}, pvalue "
              f"{distance['pvalue']:.3f} (scipy {right.statistic:.3f}, {right.pvalue:.3f}); "
              f"ttest_ind's pvalue {t['pvalue']:.3f} (scipy {stats.ttest_ind(before, after).pvalue:.3f})")
        limit = np.sqrt(-np.log(0.025) / rows)
        if abs(distance["pvalue"] - limit) > 0.001 or abs(distance["statistic"] - right.statistic) > 1e-9:
            changed.append(f"{rows} rows, {shift} apart: {distance}")
empty = ask(pds.ks_2samp, pl.DataFrame({"before": random.normal(size=1_000), "after": [5.0] * 29 + [None] * 971}))
print(f"  1,000 rows, then 29 values, all of them 5: ks_2samp {empty['statistic']}, pvalue {empty['pvalue']}")
if empty["statistic"] != 0 or empty["pvalue"] == empty["pvalue"]:
    changed.append(f"few values: {empty}")
if changed:
    sys.exit(f"CHANGED: {'; '.join(changed)}")
PY
