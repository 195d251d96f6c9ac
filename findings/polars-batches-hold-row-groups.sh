#!/usr/bin/env bash
#
# What surprises: collect_batches, which gives a query's rows batch by batch so
# that they need not fit in memory, holds about six row groups of a Parquet file,
# whatever chunk_size is, if the caller is slower than the reading. The setting
# POLARS_ROW_GROUP_PREFETCH_SIZE=1 does not change that. A query per slice of the
# same rows (scan.slice(start, n).collect()) holds the slice alone: polars finds
# the pages of a slice within a row group.
#
# Whom it concerns: programs that read files larger than memory in small batches.
# Row groups of a million rows, as pyarrow writes them, make hundreds of MB.
#
# Expected: memory that chunk_size bounds, or a setting that does.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.1 polars==2.1.0

cat >"$tmp/read.py" <<'PY'
import resource
import sys
import time

import polars as pl

path, how, rows = sys.argv[1], sys.argv[2], 100_000
scan = pl.scan_parquet(path)
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if how == "batches":
    batches = scan.collect_batches(chunk_size=rows, maintain_order=True, lazy=True, engine="streaming")
else:
    total = scan.select(pl.len()).collect().item()
    batches = (scan.slice(first, rows).collect(engine="streaming") for first in range(0, total, rows))
read = 0
for batch in batches:
    read += len(batch)
    time.sleep(0.05)  # what the caller does with it
print(read, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
PY
"$tmp/venv/bin/python" - "$tmp/rows.parquet" <<'PY'
import sys

import numpy as np
import polars as pl

random = np.random.default_rng(0)
columns = {f"x{i}": random.standard_normal(8_000_000) for i in range(10)}
pl.DataFrame(columns).write_parquet(sys.argv[1], row_group_size=1_000_000)
print(f"polars {pl.__version__}: 8 row groups of 80 MB, read 8 MB at a time by a slow caller")
PY
export POLARS_ROW_GROUP_PREFETCH_SIZE=1
for how in batches slices; do
    read -r rows peak < <("$tmp/venv/bin/python" "$tmp/read.py" "$tmp/rows.parquet" "$how")
    echo "  $how: $rows rows, $peak MB more at the peak than before"
    declare "$how=$peak"
done
# shellcheck disable=SC2154
if ((batches < 320 || slices > 160)); then
    echo "CHANGED: four row groups are no longer held, or slices need two"
    exit 1
fi
