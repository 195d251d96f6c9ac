"""Datasets of Spark: the numbers of files, whether the rows are read here or stay there; and what errors say."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

import engine

from .spark_project import FUNCTION, MODEL, STORES, SUMS, is_close, make_rows, read_numbers, run_engine, write_project

LACKING = "" if find_spec("pyspark") else "the extra spark is not installed"

LACKING = LACKING or ("" if shutil.which("java") else "there is no Java (apt-get install default-jre-headless)")

needs_spark = pytest.mark.skipif(bool(LACKING), reason=LACKING or "-")


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_numbers_are_those_of_files_wherever_the_rows_are(tmp_path: Path) -> None:
    of_files = write_project(tmp_path / "files", {"kind": "file", "root": "."}, spark=False)
    run_engine("run", of_files)
    expected = read_numbers(of_files)
    assert len([name for name in expected if name.startswith("now ")]) > 80
    assert expected["scored parts segment.city = Oslo.row_count"][0] > 400
    assert expected["scored ahead estimated_roc_auc"][0] > 0.5
    assert expected["scored ahead found_segments"][0] is not None
    assert abs(expected["scored twice advantage.roc_auc"][0]) > 0
    spark = {"kind": "spark", "url": "local[2]"}
    for name, most, stores in (("read", 5_000, STORES[:2]), ("stays", 100, STORES)):
        spec = write_project(tmp_path / name, {**spark, "collect_rows": most}, spark=True, stores=stores)
        run_engine("run", spec)
        found = read_numbers(spec)
        assert name == "read" or found.keys() == expected.keys()
        for key in found:
            values = expected[key]
            if key.startswith("scored ") or key.split(".")[0].removeprefix("now ") in SUMS:  # sums in another order
                assert all(map(is_close, found[key], values)), key
            elif not key.startswith("now age"):
                assert found[key] == values, key
    (tmp_path / "stays" / "now" / "part-1.parquet").touch()
    said = run_engine("plan", spec)
    assert "dataset now: the files of path now have changed" in said
    assert "2,000 rows stay with Spark: executors measure them" in said
    assert "reused: read before" in said


OPEN_EACH = """
import os
import sys
from pathlib import Path
from tempfile import mkdtemp
import engine
from engine.data import Datasets, InMemoryFileHashes, require_unchanged_rows
from engine.data.contract import verify_contract
from engine.errors import EngineError
from engine.spec import load

project = load(sys.argv[1])
datasets = Datasets(project, InMemoryFileHashes(), lambda: Path(mkdtemp(dir=sys.argv[2])))
for name in project.datasets:
    try:
        verify_contract(datasets.open(name))
        print(name, "has no fault")
    except EngineError as error:
        print(error)
lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
arguments = b"".join(line for line in lines if line.partition(b"\\0")[0].endswith(b"/java"))
print("java is told", b"spark.sql.shuffle.partitions=3" in arguments, b"the-secret-key" in arguments)
for store in project.evaluation_stores:
    for step in engine.load(sys.argv[1]).run(store).steps:
        print(step.reason)
try:
    engine.load(sys.argv[1]).create_bundle("packed")
except EngineError as error:
    print(error)
session = datasets.open("good").spark.frame.sparkSession
print("spark is told", session.conf.get("spark.hadoop.fs.s3a.secret.key") == "the-secret-key")
for name, change in (("good", lambda: os.utime("a.parquet", (0, 0))), ("drawn", lambda: None)):
    table = datasets.open(name)
    change()
    try:
        require_unchanged_rows(table)
    except EngineError as error:
        print(error)
"""


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_faults_are_reported_in_words_and_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(FUNCTION)
    rows = make_rows(200, 1, 0)
    rows.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no more")
    (tmp_path / "struck" / "_delta_log").mkdir(parents=True)
    rows.write_parquet(tmp_path / "struck" / "part-0.parquet")
    stored = {"kind": "stored", "connection": "lake"}
    options = {"spark.hadoop.fs.s3a.secret.key": "${secret.key}", "spark.sql.shuffle.partitions": "3"}
    spec = {
        "version": 1,
        "project": "faults",
        "secrets": {"key": {"env": "LAKE_KEY"}},
        "connections": {"lake": {"kind": "spark", "url": "local[1]", "collect_rows": 100, "options": options}},
        "datasets": {
            "good": {**stored, "path": "a.parquet"},
            "texts": {"path": "texts.parquet"},
            "absent": {**stored, "path": "b.parquet"},
            "table": {**stored, "table": "clicks"},
            "no_file": {**stored, "table": f'"parquet"."{tmp_path}/a.parquet"'},
            "broken": {**stored, "path": "broken.parquet"},
            "struck": {**stored, "path": "struck"},
            "bucket": {**stored, "path": "s3a://bucket/a.parquet"},
            "drawn": {"kind": "python", "function": "made:draw_anew"},
            "divided": {"kind": "python", "function": "made:divide"},
            "failed": {"kind": "python", "function": "made:fail"},
            "rules": {**stored, "path": "a.parquet", "columns": {"bad": {"allowed": [0]}, "card": {"unique": True}}},
        },
    }
    stores = {
        "both": {"estimates": "auto", "segments": ["city"], "find_segments": True},
        "own": {"metrics": {"twice": {"function": "made:before"}}},
        "types": {"reference": {"kind": "dataset", "dataset": "texts"}, "segments": ["city"]},
    }
    spec |= {
        "models": {"risk": {**MODEL, "dataset": "texts"}},
        "evaluation_stores": {
            name: {"dataset": "good", **({} if name == "types" else {"model": "risk"}), **one}
            for name, one in stores.items()
        },
        "scenarios": {name: {"steps": [{"name": name, "target": name}]} for name in stores},
        "bundles": {"packed": {"include": {"datasets": ["good"]}}},
    }
    rows.with_columns(pl.col("amount", "bad").cast(pl.String)).write_parquet(tmp_path / "texts.parquet")
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec))
    done = subprocess.run(
        [sys.executable, "-c", OPEN_EACH, path, tmp_path],
        capture_output=True, text=True, check=True, env={**os.environ, "LAKE_KEY": "the-secret-key"},
        cwd=tmp_path,
    )  # fmt: skip
    said = done.stdout
    wrong = rows["bad"].sum()
    line = 1 + [one.strip() for one in FUNCTION.splitlines()].index('raise ValueError("no such hour")')
    for expected in (
        "good has no fault",
        f"dataset 'absent': connection 'lake': path b.parquet: Path does not exist: file:{tmp_path}/b.parquet",
        "dataset 'table': there is no table 'clicks' in Spark",
        "dataset 'no_file': there is no table",
        f"Encountered error while reading file file:{tmp_path}/broken.parquet",
        "path s3a://bucket/a.parquet: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
        "path struck: Failed to find the data source: delta.",
        "Spark needs a package for it: name it by spark.jars.packages",
        "what made:divide returned: Division by zero.",
        f"what made:fail returned: {tmp_path}/made.py:{line}: ValueError: no such hour",
        f"column 'bad': {wrong} of 200 values are not in allowed (0): row ",
        f"column 'card': {200 - rows['card'].n_unique()} of 200 values are",
        "'both': estimates beside segments and find_segments beside segments cannot be computed where rows stay with",
        "'own': metrics cannot be computed where rows stay with Spark, and dataset 'good' has 200",
        "where rows stay with Spark and 'bad' must be brought to the type that the other side has",
        "dataset 'good' has 200 rows, which stay with Spark, and no bundle holds them",
        "java is told True False",
        "spark is told True",
        "dataset 'good': its rows have changed since it was opened",
        "dataset 'drawn': its rows have changed since it was opened",
    ):
        assert expected in said, said
    assert "\tat " not in said + done.stderr
    assert "SparkException" not in said + done.stderr


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_executors_with_other_versions_are_refused(tmp_path: Path) -> None:
    told = tmp_path / "other" / "polars-0.0.1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: polars\nVersion: 0.0.1\n")
    make_rows(9, 1, 0).write_parquet(tmp_path / "a.parquet")
    options = {"spark.executorEnv.PYTHONPATH": str(told.parent)}
    spec = {
        "version": 1,
        "project": "p",
        "connections": {"lake": {"kind": "spark", "url": "local[1]", "collect_rows": 5, "options": options}},
        "datasets": {
            "a": {"kind": "stored", "connection": "lake", "path": "a.parquet", "columns": {"bad": {"max": 1}}}
        },
    }
    (tmp_path / "spec.yaml").write_text(json.dumps(spec))
    assert "the executors have polars 0.0, and this machine has polars" in run_engine(
        "run", tmp_path / "spec.yaml", code=3
    )


@pytest.mark.skipif(not find_spec("pyspark"), reason="the extra spark is not installed")
def test_missing_programs_and_servers_that_do_not_answer_are_reported_at_once(tmp_path: Path) -> None:
    rows = {"kind": "stored", "connection": "lake", "table": "t", "checks": {"rows": {"metric": "row_count", "min": 1}}}
    spec = {"version": 1, "project": "p", "datasets": {"t": rows}}
    path = tmp_path / "spec.yaml"
    for url, environ, expected in (
        ("local[1]", {"JAVA_HOME": str(tmp_path)}, "apt-get install default-jre-headless"),
        ("spark://127.0.0.1:9", {}, "no Spark answers at 127.0.0.1:9: Connection refused"),
        ("spark://127.0.0.1:9,127.0.0.1:7", {}, "9: Connection refused; nor at 127.0.0.1:7: Connection refused"),
        ("k8s://https://127.0.0.1:9", {}, "no Spark answers at 127.0.0.1:9: Connection refused"),
        ("sc://127.0.0.1:9", {}, "no Spark answers at 127.0.0.1:9: Connection refused"),
    ):
        path.write_text(json.dumps({**spec, "connections": {"lake": {"kind": "spark", "url": url}}}))
        assert expected in run_engine("run", path, code=3, **environ)


@pytest.mark.skipif(find_spec("pyspark") is not None, reason="the extra spark is installed")
def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "{version: 1, project: p, connections: {lake: {kind: spark}}, "
        "datasets: {t: {kind: stored, connection: lake, table: t, checks: {rows: {metric: row_count, min: 1}}}}}"
    )
    assert "pip install 'engine[spark]'" in run_engine("run", spec, code=3)


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_example_gives_the_numbers_of_the_files_that_it_reads(tmp_path: Path) -> None:
    examples = Path(__file__).parents[2] / "specs"
    shutil.copytree(examples / "hello_drift", tmp_path / "hello_drift")
    found = []
    for name in ("hello_drift.yaml", "spark.yaml"):
        spec = shutil.copy(examples / name, tmp_path)
        run_engine("run", spec)
        found.append(engine.load(spec).store("drift").metrics().drop("reason"))
    assert found[0].equals(found[1])
