#!/usr/bin/env bash
#
# What surprises: polars' mean_horizontal, the mean of several columns in each row, adds
# up in the columns' own type before it divides, and wraps: the marks 90, 80 and 95 as
# UInt8 have the mean 3, three times 2,000,000,000 as Int32 the mean 568,344,234.67. The
# result is a float and looks like a mean. The mean of one column, list.mean and numpy's
# mean of the same values are right; narwhals' mean_horizontal of a polars frame is as
# wrong. The documentation of sum says that small types are summed as Int64 to prevent
# this; that of mean_horizontal says nothing. That sum_horizontal wraps its makers were
# told in 2025 (pola-rs/polars, issue 21515).
#
# Whom it concerns: whoever averages marks, scores of several models or readings of
# several sensors in each row, and keeps them in small types: 0 to 100 fits in 8 bits,
# the sum of three does not. High values become low ones.
#
# Expected: the mean of the same values as floats.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    polars==2.1.0 narwhals==2.29.0 numpy==2.4.6

"$tmp/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import narwhals
import numpy as np
import polars as pl

CASES = {
    "marks": (pl.UInt8, [90, 80, 95], True),
    "degrees kelvin": (pl.UInt8, [200, 200], True),
    "ratings": (pl.Int8, [70, 70], True),
    "cents": (pl.Int32, [2_000_000_000] * 3, True),
    "small counts": (pl.UInt8, [30, 40, 50], False),
}
print(", ".join(f"{name} {version(name)}" for name in ("polars", "narwhals", "numpy")))
changed = []
for name, (dtype, values, wraps) in CASES.items():
    row = pl.DataFrame([values], orient="row", schema=[(f"x{place}", dtype) for place in range(len(values))])
    together = narwhals.from_native(row).select(narwhals.mean_horizontal(*row.columns))
    means = {
        "mean_horizontal": (row.select(pl.mean_horizontal(pl.all())).item(), wraps),
        "narwhals": (together.to_native().item(), wraps),
        "list.mean": (row.select(pl.concat_list(pl.all()).list.mean()).item(), False),
        "mean of one column": (pl.Series(values, dtype=dtype).mean(), False),
        "numpy": (row.to_numpy().mean(axis=1).item(), False),
    }
    print(f"  {name}, {values} of {dtype}:")
    print("    " + ", ".join(f"{way} {mean:,.2f}" for way, (mean, _) in means.items()))
    right = sum(values) / len(values)
    changed += [f"{name}: {way} {mean}" for way, (mean, wrong) in means.items() if (not np.isclose(mean, right)) != wrong]
if changed:
    sys.exit(f"CHANGED: {'; '.join(changed)}")
PY
