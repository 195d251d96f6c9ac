#!/usr/bin/env bash
#
# What surprises: in CEL, cel-expr-python 0.1.3 (the C++ implementation) drops
# two exclamation marks in a row before it checks types. !'a' is an error,
# since ! takes a boolean, but !!'a' is the text 'a', and !!'a' == 'a' is true.
# cel-python 0.5.0 (another implementation) refuses both.
#
# Whom it concerns: anyone who validates expressions of users with CEL: !!x does
# not make a boolean of x, nor prove that x is one, and the same expression is
# accepted by one implementation and refused by another.
#
# Expected: !!x has the type of !(!x), as both implementations have it for
# !(!'a').
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    cel-expr-python==0.1.3 cel-python==0.5.0

"$tmp/venv/bin/python" - <<'PY'
import platform
import sys
from importlib.metadata import version

import celpy
from cel_expr_python import cel

print(f"Python {platform.python_version()}, cel-expr-python {version('cel-expr-python')}, "
      f"cel-python {version('cel-python')}")


def in_cpp(text):
    try:
        return repr(cel.NewEnv().compile(text).eval(data={}).value())
    except RuntimeError:
        return "error"


def in_python(text):
    environment = celpy.Environment()
    try:
        return repr(environment.program(environment.compile(text)).evaluate({}))
    except celpy.CELEvalError:
        return "error"


seen = {}
for text in ("!'a'", "!(!'a')", "!!'a'", "!!'a' == 'a'", "!!true"):
    seen[text] = in_cpp(text), in_python(text)
    print(f"{text:14} cel-expr-python: {seen[text][0]:8} cel-python: {seen[text][1]}")
cpp = {text: answers[0] for text, answers in seen.items()}
if cpp != {"!'a'": "error", "!(!'a')": "error", "!!'a'": "'a'", "!!'a' == 'a'": "True", "!!true": "True"}:
    sys.exit("CHANGED: cel-expr-python does not drop two negations in a row any more")
if {seen[text][1] for text in ("!'a'", "!(!'a')", "!!'a'", "!!'a' == 'a'")} != {"error"}:
    sys.exit("CHANGED: cel-python accepts two negations of a text")
print("two negations of a text are the text in cel-expr-python, and an error in cel-python")
PY
