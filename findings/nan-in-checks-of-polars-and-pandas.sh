#!/usr/bin/env bash
#
# What surprises: four libraries check frames of pandas and of polars by the same
# declarations, and find NaN in the one and not in the other, each its own way:
#
#   cuallee      "is complete" and "greater than 0" pass in polars, fail in pandas;
#   pointblank   "not null" passes in polars, fails in pandas;
#   pandera      "less than 10" fails in polars, passes in pandas;
#   validoopsie  "between 0 and 10" fails in polars and passes in pandas, where
#                its "not null" does the reverse.
#
# For polars NaN is a number, greater than all others; for pandas it is a missing
# value. The checks hand the question on to the frame as it is.
#
# Whom it concerns: whoever moves checks from pandas to polars for speed. Numbers
# that numpy or a model has made hold NaN, and "is complete" no longer tells it.
#
# Expected: that a check means the same, whatever the frame is made of.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    cuallee==0.15.4 pointblank==1.1.1 pandera==0.35.0 validoopsie==1.8.1 \
    pandas==3.1.1 polars==2.1.0 pyarrow==26.0.1 numpy==2.4.6

"$tmp/venv/bin/python" -W ignore - <<'PY'
import contextlib
import io
import sys
from importlib.metadata import version

import cuallee
import pandas as pd
import pandera.errors
import pandera.pandas
import pandera.polars
import pointblank
import polars as pl
import validoopsie

with contextlib.suppress(ImportError):
    from loguru import logger

    logger.remove()

VALUES = [1.0, 2.0, float("nan")]
FRAMES = {"polars": pl.DataFrame({"x": VALUES}), "pandas": pd.DataFrame({"x": VALUES})}


def ask_cuallee(frame, check, *bounds):
    checks = cuallee.Check(cuallee.CheckLevel.ERROR, "x")
    getattr(checks, check)("x", *bounds)
    return list(checks.validate(frame)["status"]) == ["PASS"]


def ask_pointblank(frame, check, *bounds):
    done = getattr(pointblank.Validate(frame), check)("x", *bounds).interrogate()
    return done.n_failed(1, scalar=True) == 0


def ask_pandera(frame, check, *bounds):
    library = pandera.polars if isinstance(frame, pl.DataFrame) else pandera.pandas
    checks = [getattr(library.Check, check)(*bounds)] if bounds else []
    try:
        library.DataFrameSchema({"x": library.Column(float, checks, nullable=bool(bounds))}).validate(frame)
    except pandera.errors.SchemaError:
        return False
    return True


def ask_validoopsie(frame, check, *bounds):
    checks = validoopsie.Validate(frame)
    if check == "ColumnNotBeNull":
        checks.NullValidation.ColumnNotBeNull("x")
    else:
        checks.ValuesValidation.ColumnValuesToBeBetween("x", *bounds)
    return checks.results["Summary"]["passed"]


# library, question, and whether it passes in polars and in pandas
CASES = [
    (ask_cuallee, "is_complete", (), True, False),
    (ask_cuallee, "is_greater_than", (0,), True, False),
    (ask_cuallee, "is_less_than", (10,), False, False),
    (ask_pointblank, "col_vals_not_null", (), True, False),
    (ask_pointblank, "col_vals_gt", (0,), False, False),
    (ask_pandera, "nullable=False", (), False, False),
    (ask_pandera, "gt", (0,), True, True),
    (ask_pandera, "lt", (10,), False, True),
    (ask_validoopsie, "ColumnNotBeNull", (), True, False),
    (ask_validoopsie, "ColumnValuesToBeBetween", (0, 10), False, True),
]
print(", ".join(f"{name} {version(name)}" for name in ("cuallee", "pointblank", "pandera", "validoopsie", *FRAMES)))
print(f"  a column of {VALUES}:")
changed = []
for ask, check, bounds, *expected in CASES:
    with contextlib.redirect_stdout(io.StringIO()):
        found = [bool(ask(frame, check, *bounds)) for frame in FRAMES.values()]
    name = ask.__name__.removeprefix("ask_")
    told = ", ".join(f"{frame} {'passes' if one else 'fails '}" for frame, one in zip(FRAMES, found, strict=True))
    print(f"  {name:11} {check} {' and '.join(map(str, bounds)):10}".ljust(52) + told)
    if found != expected:
        changed.append(f"{name} {check}")
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
