#!/usr/bin/env bash
#
# What surprises: days before 1678 and after 2262 of a Parquet file become other days
# where a reader counts nanoseconds in 64 bits, without an error. fastparquet reads the
# date 9999-12-31 as 1816-03-29, and its filter "after 2100" finds no such row. pyarrow
# does so with timestamps of the old type INT96, as Spark and Impala wrote them for
# years; its option coerce_int96_timestamp_unit is documented, that the day is wrong
# without it is not said there. polars and DuckDB read both right.
#
# Whom it concerns: whoever has 9999-12-31 for "valid until further notice", which is
# usual in data warehouses: all such rows have ended 200 years ago.
#
# Expected: the day that was written, or an error, as pandas itself raises for such
# nanoseconds.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    fastparquet==2026.9.0 pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1

cd "$tmp"
"$tmp/venv/bin/python" -W ignore - <<'PY'
import datetime
import sys

import duckdb
import fastparquet
import pandas as pd
import polars as pl
import pyarrow
import pyarrow.parquet

END = datetime.date(9999, 12, 31)
DAYS = [datetime.date(2026, 1, 1), END]
moments = [datetime.datetime.combine(day, datetime.time()) for day in DAYS]
pyarrow.parquet.write_table(pyarrow.table({"x": DAYS}), "date.parquet")
pyarrow.parquet.write_table(
    pyarrow.table({"x": pyarrow.array(moments, pyarrow.timestamp("us"))}), "int96.parquet",
    use_deprecated_int96_timestamps=True,
)
READERS = {
    "fastparquet": lambda file: pd.read_parquet(file, engine="fastparquet")["x"].tolist(),
    "pyarrow": lambda file: pyarrow.parquet.read_table(file)["x"].to_pylist(),
    "polars": lambda file: pl.read_parquet(file)["x"].to_list(),
    "duckdb": lambda file: [row[0] for row in duckdb.sql(f"SELECT x FROM '{file}'").fetchall()],
}
WRONG = {("date", "fastparquet"), ("int96", "fastparquet"), ("int96", "pyarrow")}
print(f"fastparquet {fastparquet.__version__}, pyarrow {pyarrow.__version__}, polars {pl.__version__}, "
      f"duckdb {duckdb.__version__}")
changed = []
for kind in ("date", "int96"):
    for name, read in READERS.items():
        near, far = (str(one)[:10] for one in read(f"{kind}.parquet"))
        print(f"  {kind:6} read by {name:12} {near}, {far}")
        if near != str(DAYS[0]) or (far != str(END)) != ((kind, name) in WRONG):
            changed.append(f"{kind} by {name}")
filters = [("x", ">", pd.Timestamp("2100-01-01"))]
after = len(pd.read_parquet("date.parquet", engine="fastparquet", filters=filters))
print(f"  rows after 2100: by fastparquet {after}, by polars "
      f"{pl.scan_parquet('date.parquet').filter(pl.col('x') > datetime.date(2100, 1, 1)).collect().height}")
if changed or after:
    sys.exit(f"CHANGED: {', '.join(changed)}, {after} rows")
PY
