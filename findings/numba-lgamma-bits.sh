#!/usr/bin/env bash
#
# What surprises: math.lgamma compiled by numba 0.68.0 and math.lgamma of
# Python differ in the last bits for most small whole numbers, by up to three
# units in the last place (seen on Linux, x86-64). So one function gives other
# bits compiled than interpreted. math.gamma differs too; math.exp, math.erf and
# math.log1p do not for the values tried here. The compiled values are the
# better ones.
#
# Whom it concerns: anyone who tests compiled against interpreted code bit by
# bit, or stores hashes of results.
#
# Expected: the same bits, or a word in the list of supported functions that
# this one comes from another implementation.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    numba==0.68.0 llvmlite==0.50.0 numpy==2.4.6

"$tmp/venv/bin/python" - <<'PY'
import decimal
import math
import platform
import sys

import llvmlite
import numba

print(f"Python {platform.python_version()}, numba {numba.__version__}, "
      f"llvmlite {llvmlite.__version__}")


@numba.njit
def lgamma(x):
    return math.lgamma(x)


@numba.njit
def others(x):
    return math.gamma(x), math.exp(x), math.erf(x), math.log1p(x)


decimal.getcontext().prec = 50
differ = interpreted_right = compiled_right = 0
print("  x   interpreted            compiled               best double")
for n in range(1, 16):
    x = float(n)
    interpreted, compiled = lgamma.py_func(x), lgamma(x)
    best = float(decimal.Decimal(math.factorial(n - 1)).ln())
    differ += interpreted != compiled
    interpreted_right += interpreted == best
    compiled_right += compiled == best
    mark = "  differ" if interpreted != compiled else ""
    print(f"  {n:2}  {interpreted.hex():22} {compiled.hex():22} {best.hex():22}{mark}")
print(f"  lgamma differs for {differ} of 15 values; the best double is given "
      f"{interpreted_right} times interpreted, {compiled_right} times compiled")

values = [n / 40 for n in range(1, 41)]
counts = [
    sum(a != b for a, b in pairs)
    for pairs in zip(*[zip(others.py_func(x), others(x)) for x in values])
]
for name, count in zip(("gamma", "exp", "erf", "log1p"), counts):
    print(f"  math.{name}: {count} of {len(values)} values differ")

if not differ:
    sys.exit("CHANGED: math.lgamma gives the same bits compiled and interpreted")
PY
