#!/usr/bin/env bash
#
# What surprises: the SQL parser of polars 2.1.0 (and of 1.35.1) gives up at 48
# levels of nesting, and for some constructs the message does not say so.
#   - Parentheses and functions: "recursion limit exceeded", as one would hope.
#   - NOT NOT ... b, and CASE in CASE: "Expected: end of statement", at a place
#     where the statement is fine.
#   - NOT (NOT (... b)): from 24 levels, when the query is run at once,
#     "unsupported function 'not'"; at 23 levels the same query runs.
#
# Whom it concerns: anyone who generates SQL, and reads the message to learn
# what is wrong with it.
#
# Expected: one message about the depth for all of them.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check polars==2.1.0

"$tmp/venv/bin/python" - <<'PY'
import platform
import sys

import polars as pl

print(f"Python {platform.python_version()}, polars {pl.__version__}")
frame = pl.DataFrame({"a": [1.0, 2.0], "b": [True, False]})


def run(expression):
    try:
        query = f"SELECT {expression} AS x FROM t"
        pl.SQLContext(t=frame).execute(query, eager=True)
    except pl.exceptions.PolarsError as error:
        return str(error).splitlines()[0]
    return "runs"


depth = "recursion limit exceeded"
end = "Expected: end of statement"
unsupported = "unsupported function 'not'"
cases = [
    ("(a)", lambda n: "(" * n + "a" + ")" * n, 47, depth),
    ("ABS(a)", lambda n: "ABS(" * n + "a" + ")" * n, 47, depth),
    ("NOT b", lambda n: "NOT " * n + "b", 47, end),
    ("CASE WHEN b THEN a ELSE (again) END",
     lambda n: "CASE WHEN b THEN a ELSE " * n + "a" + " END" * n, 47, end),
    ("CASE WHEN b THEN (again) ELSE a END",
     lambda n: "CASE WHEN b THEN " * n + "a" + " ELSE a END" * n, 47, end),
    ("NOT (b)", lambda n: "NOT (" * n + "b" + ")" * n, 23, unsupported),
]
for name, make, last, message in cases:
    good, bad = run(make(last)), run(make(last + 1))
    print(f"  {name}\n    {last} levels: {good}\n    {last + 1} levels: {bad}")
    if good != "runs" or message not in bad:
        sys.exit(f"CHANGED: {name}: expected that {last} levels run and that "
                 f"{last + 1} say {message!r}")
PY
