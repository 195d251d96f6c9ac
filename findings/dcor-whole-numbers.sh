#!/usr/bin/env bash
#
# What surprises: dcor's distance correlation and energy distance of whole numbers are
# computed in the integers' own type, and wrap. Moments in milliseconds have a distance
# correlation of 0 where it is 0.66, hours and cents as unsigned numbers one of two and
# more, which cannot be, and an energy distance of nothing like the right one. The same
# values as floats are right. The warning that is given speaks of code that is not
# compiled, and the energy distance of unsigned numbers has none at all. Its makers were
# told in 2023 (vnmabus/dcor, issue 59).
#
# Whom it concerns: whoever measures dependence or drift of counts, hours, cents or
# times: a correlation of 0 reads as "independent", a small distance as "no drift".
#
# Expected: the values of the same numbers as floats, or an error, which the correlation
# of some signed numbers of 16 and 32 bits raises.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check dcor==0.7 numpy==2.4.6 scipy==1.17.1 numba==0.68.1

"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import dcor
import numpy as np

random = np.random.default_rng(1)
hours = random.integers(0, 24, 1000)
begun = 1_767_225_600_000 + random.integers(0, 30 * 86_400_000, 1000)
cents = random.integers(0, 2_000_000, 1000)
COLUMNS = {
    "hours, uint8": (hours, 100 + hours * 3 + random.integers(0, 50, 1000), "uint8"),
    "cents, uint32": (cents, cents + random.integers(0, 2_000_000, 1000), "uint32"),
    "milliseconds, int64": (begun, begun + random.integers(0, 30 * 86_400_000, 1000), "int64"),
}


def compute_correlation(x, y):
    """Distance correlation by its definition: of doubly centred distances."""
    centred = []
    for values in (x, y):
        far = np.abs(values[:, None] - values)
        centred.append(far - far.mean(axis=0) - far.mean(axis=1)[:, None] + far.mean())
    a, b = centred
    return ((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean())) ** 0.5


def compute_energy(x, y):
    """Energy distance by its definition."""
    return sum(sign * np.abs(a[:, None] - b).mean() for sign, a, b in ((2, x, y), (-1, x, x), (-1, y, y)))


print(f"dcor {version('dcor')}")
changed = []
for name, (x, y, kind) in COLUMNS.items():
    floats = x.astype(float), y.astype(float)
    whole = x.astype(kind), y.astype(kind)
    for measure, found, right, by_floats in (
        ("correlation", dcor.distance_correlation(*whole), compute_correlation(*floats), dcor.distance_correlation(*floats)),
        ("energy", dcor.energy_distance(*whole), compute_energy(*floats), dcor.energy_distance(*floats)),
    ):
        print(f"  {name:20} {measure:12} {found:12.5g}, as floats {by_floats:12.5g}, by definition {right:12.5g}")
        if not np.isclose(by_floats, right, rtol=1e-4):
            changed.append(f"{name}: {measure} of floats")
        if measure == "correlation" and 0 < found < 1:
            changed.append(f"{name}: {measure}")
if not dcor.energy_distance(*(one.astype("uint8") for one in COLUMNS["hours, uint8"][:2])) < 10:
    changed.append("energy distance of hours")
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
