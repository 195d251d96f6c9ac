#!/usr/bin/env bash
#
# What surprises: sqlglot parses only about 40 nested function calls, or 50
# nested parentheses, and then raises RecursionError, not its own ParseError,
# at Python's default recursion limit of 1,000: each level of SQL takes about
# 20 to 25 levels of Python. How many fit depends on how deep the caller already
# is: called from 500 frames down, it is about half.
#
# Whom it concerns: anyone who parses generated SQL, or SQL from users, and
# catches sqlglot's errors only.
#
# Expected: a documented depth, and a ParseError beyond it.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"

cat > "$tmp/show.py" <<'PY'
import platform
import sys

import sqlglot

print(f"Python {platform.python_version()}, sqlglot {sqlglot.__version__}, "
      f"recursion limit {sys.getrecursionlimit()}")


def parse(text, frames):
    if frames:
        return parse(text, frames - 1)
    return sqlglot.parse_one(text)


def levels(make, frames=0):
    """The deepest nesting that parses."""
    parse(make(1), 0)
    for count in range(1, 200):
        try:
            parse(make(count), frames)
        except RecursionError:
            return count - 1
        except sqlglot.errors.SqlglotError as error:
            sys.exit(f"CHANGED: {count} levels raise {type(error).__name__}")
    sys.exit("CHANGED: 199 levels parse")


cases = [
    ("ABS(a)", lambda n: "SELECT " + "ABS(" * n + "a" + ")" * n + " FROM t"),
    ("COALESCE(a, b)",
     lambda n: "SELECT " + "COALESCE(b, " * n + "a" + ")" * n + " FROM t"),
    ("(a)", lambda n: "SELECT " + "(" * n + "a" + ")" * n + " FROM t"),
    ("CASE WHEN b THEN a END",
     lambda n: "SELECT " + "CASE WHEN b THEN " * n + "a" + " END" * n + " FROM t"),
]
for name, make in cases:
    plain, deep = levels(make), levels(make, 500)
    print(f"  {name}: {plain} levels parse, {plain + 1} raise RecursionError; "
          f"from 500 frames down, {deep}")
    if plain >= 70:
        sys.exit(f"CHANGED: {name}: {plain} levels parse, not about 40 to 55")
PY

for version in 30.0.0 30.30.0; do
    "$tmp/venv/bin/pip" install -qq --disable-pip-version-check "sqlglot==$version"
    "$tmp/venv/bin/python" "$tmp/show.py"
done
