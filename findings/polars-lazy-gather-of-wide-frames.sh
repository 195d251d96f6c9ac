#!/usr/bin/env bash
#
# What surprises: to reorder the rows of a frame lazily, by
# select(pl.all().gather(series)), takes time that grows with the square of the
# number of columns, whatever the number of rows: 800 columns of 1,000 rows take
# seconds, the same select of an eager frame milliseconds. The time passes before
# anything is computed, with and without optimizations. pl.all().sort_by(series)
# is as slow; the sum of pl.all() and the series is not.
#
# Whom it concerns: programs that shuffle, sample or sort wide tables lazily by
# positions that they have as a Series.
#
# Expected: planning that grows with the number of expressions.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.1 polars==2.1.0

"$tmp/venv/bin/python" - <<'PY'
import sys
import time

import numpy as np
import polars as pl

ROWS = 1_000
order = pl.Series(np.random.default_rng(0).permutation(ROWS).astype(np.uint32))


def cpu_seconds(compute):
    before = time.process_time()
    compute()
    return time.process_time() - before


print(f"polars {pl.__version__}: {ROWS:,} rows in another order, CPU seconds")
lazy, eager, added = {}, {}, {}
for columns in (200, 400, 800):
    frame = pl.DataFrame({f"x{i}": np.arange(ROWS, dtype=float) for i in range(columns)})
    lazy[columns] = cpu_seconds(lambda: frame.lazy().select(pl.all().gather(order)).collect())
    eager[columns] = cpu_seconds(lambda: frame.select(pl.all().gather(order)))
    added[columns] = cpu_seconds(lambda: frame.lazy().select(pl.all() + pl.lit(order)).collect())
    print(
        f"  {columns} columns: lazy gather {lazy[columns]:.2f}, eager gather {eager[columns]:.3f}, "
        f"lazy sum with the series {added[columns]:.3f}"
    )
if lazy[800] < 8 * lazy[200] or lazy[800] < 50 * eager[800]:
    sys.exit("CHANGED: four times the columns no longer take eight times as long or more, or an eager frame takes as long")
PY
