#!/usr/bin/env bash
#
# What surprises: PyIceberg's scan and its delete mean different rows by one filter, if a
# column has nulls, and both also depend on the bounds of files and the length of lists.
#   - delete("x != 7") keeps the rows without a value if a 7 may be in the file; if not,
#     it removes them too, though a scan by the same filter shows none of them.
#   - A scan by "x not in (1, 2)" gives the rows without a value, one by "x not in (1)"
#     or by "x != 1 and x != 2" does not: one value more in the list gives more rows.
#     A delete by it keeps them.
# A null is unequal to all values where whole files are judged by their bounds, and to
# none where PyArrow compares the rows; a list of one value is rewritten as "!=".
#
# Whom it concerns: whoever scans before he deletes, or leaves out versions of a model
# or marks of tests by a list, in a column that may be empty.
#
# Expected: that a delete removes the rows that the scan shows.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check pyiceberg==0.12.0 pyarrow==26.0.1 sqlalchemy==2.1.9

"$tmp/venv/bin/python" -W ignore - "$tmp" <<'PY'
import sqlite3
import sys
from importlib.metadata import version

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

VALUES = [1, 2, 3, None, None]
# filter, and what it gives: rows of a scan, nulls among them, rows that a delete removes, nulls among them
CASES = {
    "x != 1": (2, 0, 2, 0),
    "x != 7": (3, 0, 5, 2),
    "x not in (1)": (2, 0, 2, 0),
    "x not in (1, 2)": (3, 2, 1, 0),
    "x != 1 and x != 2": (1, 0, 1, 0),
    "x not in (7, 8)": (5, 2, 5, 2),
}
folder = sys.argv[1]
catalog = SqlCatalog("local", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
catalog.create_namespace("models")
rows = pa.table({"x": pa.array(VALUES, pa.int64())})
database = sqlite3.connect(":memory:")
database.execute("CREATE TABLE scores (x INTEGER)")
database.executemany("INSERT INTO scores VALUES (?)", [(value,) for value in VALUES])
print(f"pyiceberg {version('pyiceberg')}, pyarrow {version('pyarrow')}, SQLite {sqlite3.sqlite_version}; x is {VALUES}")
changed = []
for number, (condition, expected) in enumerate(CASES.items()):
    table = catalog.create_table(f"models.scores{number}", rows.schema)
    table.append(rows)
    shown = table.scan(row_filter=condition).to_arrow()["x"].to_pylist()
    table.delete(condition)
    kept = table.scan().to_arrow()["x"].to_pylist()
    [(by_sql,)] = database.execute(f"SELECT count(*) FROM scores WHERE {condition}")
    found = len(shown), shown.count(None), len(VALUES) - len(kept), VALUES.count(None) - kept.count(None)
    print(f"  {condition:18} scan: {found[0]} rows, {found[1]} of them null; "
          f"delete: removes {found[2]}, {found[3]} of them null; SQL: {by_sql} rows")
    if found != expected:
        changed.append(f"{condition}: {found}")
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
