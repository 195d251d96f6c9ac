#!/usr/bin/env bash
#
# What surprises: scipy's tests compute their statistic in float16 if the columns are of
# that type. Its largest value is 65,504, which sums of ranks, products of counts and
# sums of squares exceed from 50 to 1,000 rows on. The p-value then is 1 (t-test,
# Wilcoxon, Mann-Whitney, Cramer-von Mises), NaN, or 0 (Kruskal-Wallis: also for two
# columns of one distribution), and warnings of an overflow are all that tells. The
# values fit into the type, and the tests of Kolmogorov and Smirnov and the Wasserstein
# distance of them are right.
#
# Whom it concerns: whoever keeps scores, features or embeddings in half precision, and
# tests them for drift: however great it is, p = 1.
#
# Expected: the p-value of the same numbers as float64, or an error.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from scipy import stats

ROWS = 1000
random = np.random.default_rng(1)
before, now, drifted = (random.normal(mean, 10, ROWS).astype(np.float16) for mean in (100, 100, 108))
TESTS = {
    "t-test": lambda x, y: stats.ttest_ind(x, y).pvalue,
    "Mann-Whitney, 200 rows": lambda x, y: stats.mannwhitneyu(x[:200], y[:200]).pvalue,
    "Wilcoxon, 200 rows": lambda x, y: stats.wilcoxon(x[:200], y[:200]).pvalue,
    "Cramer-von Mises": lambda x, y: stats.cramervonmises_2samp(x, y).pvalue,
    "Kruskal-Wallis": lambda x, y: stats.kruskal(x, y).pvalue,
    "Levene": lambda x, y: stats.levene(x, y).pvalue,
    "Kolmogorov-Smirnov": lambda x, y: stats.ks_2samp(x, y).pvalue,
}
print(f"scipy {version('scipy')}, numpy {version('numpy')}; {ROWS:,} rows, drift of 0.8 standard deviations")
changed = []
for name, test in TESTS.items():
    found = [test(before, one) for one in (now, drifted)]
    right = [test(before.astype(float), one.astype(float)) for one in (now, drifted)]
    print(f"  {name:23} p without drift {found[0]:<7.2g} as float64 {right[0]:<9.2g}"
          f"p with drift {found[1]:<9.2g}as float64 {right[1]:.2g}")
    told = not np.isclose(found, right, rtol=0.01, atol=1e-9).all()
    if told == (name == "Kolmogorov-Smirnov"):
        changed.append(name)
    if name in ("t-test", "Mann-Whitney, 200 rows", "Wilcoxon, 200 rows", "Cramer-von Mises") and found[1] != 1:
        changed.append(name)
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
