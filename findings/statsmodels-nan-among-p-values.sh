#!/usr/bin/env bash
#
# What surprises: one NaN among the p-values makes statsmodels' multipletests (and
# fdrcorrection) return NaN for all corrected p-values, for six of its ten methods,
# the usual fdr_bh among them. So corrected < 0.05 is false for a column of p-value
# 1e-9 as well. The verdicts that it returns beside them still tell that column, but
# for method hommel, where they are all false too. Bonferroni, Sidak and Holm give NaN
# for the NaN only. Nothing warns, and the documentation does not say so.
#
# Whom it concerns: whoever tests many columns at once. The test of a column that is
# constant or empty has no p-value, and takes the alerts of all others with it.
#
# Expected: an error, as scipy's false_discovery_control raises, or NaN for the NaN
# only.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from scipy.stats import false_discovery_control, ttest_ind
from statsmodels.stats.multitest import multipletests

random = np.random.default_rng(1)
before = random.normal(size=(500, 5))
now = random.normal(size=(500, 5))
now[:, 0] += 0.5  # the drift
before[:, 3] = now[:, 3] = 1  # a constant column
p_values = ttest_ind(before, now).pvalue
print(f"statsmodels {version('statsmodels')}; p-values {', '.join(f'{p:.2g}' for p in p_values)}")
LOST = {"simes-hochberg", "hommel", "fdr_bh", "fdr_by", "fdr_tsbh", "fdr_tsbky"}
changed = []
for method in ("bonferroni", "sidak", "holm", "holm-sidak", *sorted(LOST)):
    told, corrected, *_ = multipletests(p_values, method=method)
    without, corrected_without, *_ = multipletests(p_values[~np.isnan(p_values)], method=method)
    print(f"  {method:14} of the drifted column: corrected {corrected[0]:8.2g}, verdict {told[0]!s:5}; "
          f"without the constant column {corrected_without[0]:8.2g}, {without[0]}")
    if (bool(np.isnan(corrected).all()) != (method in LOST)) or bool(told[0]) != (method != "hommel") or not without[0]:
        changed.append(method)
try:
    false_discovery_control(p_values)
except ValueError as error:
    print(f"  scipy {version('scipy')}: {error}")
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
