#!/usr/bin/env bash
#
# What surprises: DuckDB 2.0.1 finds no NaN in a Parquet file that polars or pyarrow
# wrote: WHERE isnan(x) gives no row, though the same query over the table made of
# the same file gives one. WHERE x BETWEEN 0 AND 10 gives the NaN too, and max(x) may
# leave it out. These writers note the smallest and the largest value without NaN,
# as the format has it, and DuckDB concludes from them what cannot be in the file.
# That filters may lose NaN so is a choice of its makers, for speed: read_parquet
# has an option can_have_nan, which is off. That isnan itself is always false is new
# in 2.0; 1.5.6 finds the row.
#
# Whom it concerns: whoever counts NaN to judge the quality of data: none are there.
#
# Expected: the same answer for a file and for a table.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
cat > "$tmp/show.py" <<'PY'
import sys
from pathlib import Path

import duckdb
import polars as pl
import pyarrow
import pyarrow.parquet

QUESTIONS = {
    "isnan(x)": "SELECT count(*) FROM {} WHERE isnan(x)",
    "x > 100": "SELECT count(*) FROM {} WHERE x > 100",
    "x between 0 and 10": "SELECT count(*) FROM {} WHERE x BETWEEN 0 AND 10",
    "largest x": "SELECT max(x) FROM {}",
}
folder = Path(sys.argv[1])
frame = pl.DataFrame({"x": [1.0, 2.0, float("nan")]})
frame.write_parquet(folder / "polars.parquet")
pyarrow.parquet.write_table(frame.to_arrow(), folder / "pyarrow.parquet")
print(f"duckdb {duckdb.__version__}, polars {pl.__version__}, pyarrow {pyarrow.__version__}; x is 1, 2 and NaN")
found = {}
connection = duckdb.connect()


def ask(query, source):
    return str(connection.execute(query.format(source)).fetchall()[0][0])


for writer in ("polars", "pyarrow"):
    file = f"'{folder}/{writer}.parquet'"
    connection.execute(f"CREATE TABLE {writer} AS FROM {file}")
    for name, query in QUESTIONS.items():
        found[writer, name] = [ask(query, file), ask(query, writer)]
        in_file, in_table = found[writer, name]
        with_option = ask(query, f"read_parquet({file}, can_have_nan = true)")
        print(f"  {name:18} in the file of {writer:7}: {in_file:4} in its table: {in_table:4}"
              f"in the file with can_have_nan: {with_option}")
for writer in ("polars", "pyarrow"):
    isnan = ["0", "1"] if duckdb.__version__ == "2.0.1" else ["1", "1"]
    if [found[writer, name] for name in list(QUESTIONS)[:3]] != [isnan, ["0", "1"], ["3", "2"]]:
        sys.exit(f"CHANGED: {writer}: {found}")
PY
for version in 1.5.6 2.0.1; do
    "$tmp/venv/bin/pip" install -qq --disable-pip-version-check "duckdb==$version" polars==2.1.0 pyarrow==26.0.1
    "$tmp/venv/bin/python" "$tmp/show.py" "$tmp"
done
