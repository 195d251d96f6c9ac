#!/usr/bin/env bash
#
# What surprises: mapInArrow and mapInPandas of a Spark DataFrame fail if one of its
# columns has a point in its name, also if the function passes all batches on as they
# are. The same DataFrame can be collected, filtered (`a.b` in backticks), converted
# by toArrow and written. The message suggests the very name that cannot be resolved.
#
# Whom it concerns: whoever lets Python work on the partitions of tables whose columns
# are called like fields of a structure, as flattened JSON has them: rename them before
# (toDF), and back afterwards.
#
# Expected: names are only looked up where an expression is parsed.
# Needs Java 17 or newer.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    pyspark==4.3.0 pandas==2.3.3 pyarrow==26.0.1 numpy==2.2.6

"$tmp/venv/bin/python" -W ignore - 2>"$tmp/log" <<'PY'
import os
import sys

os.environ["PYSPARK_PYTHON"] = sys.executable
import pyspark
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

settings = {"spark.ui.enabled": "false", "spark.log.level": "OFF"}
builder = SparkSession.builder.master("local[1]")
for name, value in settings.items():
    builder = builder.config(name, value)
frame = builder.getOrCreate().createDataFrame([(1, 2.0)], ["id", "a.b"])


def same(batches):
    yield from batches


print(f"pyspark {pyspark.__version__}, columns id and a.b")
print(f"  collect: {frame.collect()}; toArrow: {frame.toArrow().to_pylist()}; filter: {frame.filter('`a.b` > 1').count()} row")
failed = []
for how in ("mapInArrow", "mapInPandas"):
    renamed = frame.toDF("id", "a_b")
    print(f"  {how} of the renamed columns: {getattr(renamed, how)(same, renamed.schema).collect()}")
    try:
        print(f"  {how}: {getattr(frame, how)(same, frame.schema).collect()}")
    except AnalysisException as problem:
        failed.append(how)
        print(f"  {how}: {str(problem).splitlines()[0]}")
if failed != ["mapInArrow", "mapInPandas"]:
    sys.exit(f"CHANGED: of mapInArrow and mapInPandas, {failed or 'none'} failed")
PY
