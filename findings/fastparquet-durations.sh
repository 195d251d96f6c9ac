#!/usr/bin/env bash
#
# What surprises: fastparquet writes durations (timedelta64) as times of day, which end
# before 24 hours. fastparquet reads them back as they were, so that a test by a round
# trip passes. But a duration of two days is 00:00 for pyarrow and missing for polars,
# without a word, and one of 26 hours is 02:00 or missing; DuckDB alone gives an error.
#
# Whom it concerns: whoever hands delays, ages or waiting times from pandas to another
# reader: it loses exactly the long ones, for which one waits.
#
# Expected: an error at writing, or the type of whole microseconds, as pyarrow writes.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    fastparquet==2026.9.0 pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1

cd "$tmp"
"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys

import duckdb
import fastparquet
import pandas as pd
import polars as pl
import pyarrow.parquet

HOURS = (1, 26, 48)
pd.DataFrame({"x": pd.to_timedelta(HOURS, unit="h")}).to_parquet("x.parquet", engine="fastparquet")
print(f"fastparquet {fastparquet.__version__}, pyarrow {pyarrow.__version__}, polars {pl.__version__}, "
      f"duckdb {duckdb.__version__}; durations of {HOURS} hours")
found = {
    "fastparquet": [str(one) for one in pd.read_parquet("x.parquet", engine="fastparquet")["x"]],
    "pyarrow": [str(one) for one in pyarrow.parquet.read_table("x.parquet")["x"].to_pylist()],
    "polars": [str(one) for one in pl.read_parquet("x.parquet")["x"]],
}
try:
    found["duckdb"] = [str(row[0]) for row in duckdb.sql("SELECT x FROM 'x.parquet'").fetchall()]
except duckdb.InvalidInputException as error:
    found["duckdb"] = [str(error)]
for name, values in found.items():
    print(f"  read by {name:12} {', '.join(values)}")
if found["fastparquet"][1:] != ["1 days 02:00:00", "2 days 00:00:00"]:
    sys.exit("CHANGED: fastparquet reads other durations")
if found["pyarrow"] != ["01:00:00", "02:00:00", "00:00:00"] or found["polars"] != ["01:00:00", "None", "None"]:
    sys.exit(f"CHANGED: {found}")
if len(found["duckdb"]) != 1:
    sys.exit("CHANGED: DuckDB reads them")
PY
