#!/usr/bin/env bash
#
# What surprises: fastparquet writes a pandas column of whole seconds (datetime64[s]) as
# milliseconds, and divides by a thousand where it should multiply: 1 January 2026
# becomes 1 January 1970, half past midnight, for pyarrow, polars and DuckDB.
# fastparquet itself raises an error when it reads the file. Columns of milli-, micro-
# and nanoseconds are right. (pandas has deprecated this engine, and keeps it.)
#
# Whom it concerns: whoever writes times by df.to_parquet(engine="fastparquet"): numpy's
# whole seconds keep their unit in pandas, and .dt.as_unit("s") makes it.
# A filter "of the last seven days" has no rows.
#
# Expected: the moments that were written, or an error: Parquet has no unit of seconds.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    fastparquet==2026.9.0 pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1

cd "$tmp"
"$tmp/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet

DAY = "2026-01-01"
READERS = {
    "pyarrow": lambda file: pyarrow.parquet.read_table(file)["x"][0].as_py(),
    "polars": lambda file: pl.read_parquet(file)["x"][0],
    "duckdb": lambda file: duckdb.sql(f"SELECT x FROM '{file}'").fetchall()[0][0],
    "fastparquet": lambda file: pd.read_parquet(file, engine="fastparquet")["x"][0],
}
print(f"fastparquet {version('fastparquet')}, pandas {version('pandas')}; {DAY} 00:00:01, written by fastparquet")
changed = []
for unit in ("s", "ms", "us", "ns"):
    file = f"{unit}.parquet"
    column = np.array([f"{DAY}T00:00:01"], f"datetime64[{unit}]")
    pd.DataFrame({"x": column}).to_parquet(file, engine="fastparquet")
    for name, read in READERS.items():
        try:
            found = str(read(file))
        except ValueError as error:
            found = f"{type(error).__name__}: {error}"
        print(f"  datetime64[{unit}]{' ' * (3 - len(unit))}read by {name:12} {found}")
        if found.startswith(DAY) != (unit != "s"):
            changed.append(f"{unit} by {name}")
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
