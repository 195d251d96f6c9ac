#!/usr/bin/env bash
#
# What surprises: a filter of a Delta table by a decimal of more than about 16 digits
# finds no row, though the row is there; a delete by it deletes none and says so as if
# there were none. deltalake writes the smallest and the largest value of each file into
# the log as a float, 1.2345678901234567 for 1.234567890123456789, and all readers of
# the table conclude that the file cannot hold the value: deltalake's dataset, pandas,
# its SQL and polars. Without a filter all rows are read. Decimals of fewer digits
# are found.
#
# Whom it concerns: whoever keeps amounts, rates or numbers of accounts as DECIMAL(38, 18)
# or the like, as NUMBER of some databases becomes, and counts, checks or deletes by them.
#
# Expected: bounds that hold the values, or none.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    deltalake==1.6.6 pyarrow==26.0.1 polars==2.1.0 pandas==3.1.1 numpy==2.4.6

cd "$tmp"
"$tmp/venv/bin/python" -W ignore - <<'PY'
import json
import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, QueryBuilder, write_deltalake

KIND = pa.decimal128(38, 18)
VALUES = {"few": Decimal("1.25"), "many": Decimal("1.234567890123456789")}


def count_by_sql(table, condition):
    builder = QueryBuilder().register("t", table)
    return pa.table(builder.execute(f"SELECT count(*) AS n FROM t WHERE {condition}").read_all())["n"][0].as_py()


print(", ".join(f"{name} {version(name)}" for name in ("deltalake", "pyarrow", "polars", "pandas")))
changed = []
for name, value in VALUES.items():
    write_deltalake(name, pa.table({"x": pa.array([value], KIND)}))
    table = DeltaTable(name)
    [log] = Path(name, "_delta_log").glob("*.json")
    [stats] = [json.loads(line)["add"]["stats"] for line in log.read_text().splitlines() if '"add"' in line]
    equal = f"x = CAST('{value}' AS DECIMAL(38, 18))"
    found = {
        "dataset": table.to_pyarrow_dataset().count_rows(filter=ds.field("x") == pa.scalar(value, KIND)),
        "pandas": len(table.to_pandas(filters=[("x", "==", value)])),
        "SQL": count_by_sql(table, equal),
        "polars": pl.scan_delta(name).filter(pl.col("x") == value).collect().height,
        "delete": table.delete(equal)["num_deleted_rows"],
    }
    kept = table.to_pyarrow_table()["x"].to_pylist()
    print(f"  one row of x = {value}; the log holds {stats}")
    print(f"    rows equal to it: {', '.join(f'{way} {count}' for way, count in found.items())}; then there are {kept}")
    right = name == "few"
    if set(found.values()) != {int(right)} or kept != ([] if right else [value]):
        changed.append(name)
if changed:
    sys.exit(f"CHANGED: {', '.join(changed)}")
PY
