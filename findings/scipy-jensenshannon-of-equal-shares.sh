#!/usr/bin/env bash
#
# What surprises: scipy's jensenshannon is NaN instead of 0 for two in five pairs of
# distributions that are equal but for the last bits. The sum of its terms is
# then about -1e-17, of which it takes the root. (1/3, 1/3, 1/3) and (0.3, 0.3, 0.3)
# are such a pair. Shares that differ more, and those that are equal to the bit, are
# right. A warning of numpy is all that tells: "invalid value encountered in sqrt".
#
# Whom it concerns: whoever measures drift by it, between shares computed two ways: kept
# as logarithms, as float32, as differences of a distribution function. A day without
# drift has no number, and the mean over the days or columns has none either.
#
# Expected: 0.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from scipy.spatial.distance import jensenshannon

PAIRS = 2000
random = np.random.default_rng(1)
WAYS = {
    "the same bits": lambda shares: shares.copy(),
    "logarithm and back": lambda shares: np.exp(np.log(shares)),
    "mean of three equal days": lambda shares: (shares + shares + shares) / 3,
    "differences of the running sum": lambda shares: np.diff(np.cumsum(shares), prepend=0),
    "a drift of a hundredth": lambda shares: shares * np.where(np.arange(len(shares)) % 2, 1.01, 0.99),
}
print(f"scipy {version('scipy')}, numpy {version('numpy')}")
found = jensenshannon([1 / 3, 1 / 3, 1 / 3], [0.3, 0.3, 0.3])
print(f"  (1/3, 1/3, 1/3) and (0.3, 0.3, 0.3): {found}")
lost = {}
for name, compute in WAYS.items():
    results = []
    for _ in range(PAIRS):
        shares = random.multinomial(10_000, np.full(10, 0.1)) / 10_000
        results.append(jensenshannon(shares, compute(shares)))
    lost[name] = np.isnan(results).mean()
    print(f"  ten shares and {name}: NaN in {lost[name]:.1%} of {PAIRS:,} pairs, greatest {np.nanmax(results):.1g}")
first, *middle, last = lost.values()
if not np.isnan(found) or first or last or min(middle) < 0.1:
    sys.exit(f"CHANGED: {lost}")
PY
