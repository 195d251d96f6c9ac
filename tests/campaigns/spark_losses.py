"""Processes of a cluster of Spark are killed while a run reads rows: does it go on, or end in words?

    python tests/campaigns/spark_losses.py [--only "all workers"]

Needs pyspark and Java; takes about ten minutes. A run reads a hundred slow partitions by a standalone cluster of a
master and two workers, or through a server of Spark Connect on one. Some of its processes are killed by SIGKILL in the
middle, workers together with their executors. Losses that Spark makes good must not be seen in the numbers.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from spark_clusters import SMALL, start_connect, start_master, start_worker

FUNCTION = """
def rows(begun):
    from pyspark.sql import SparkSession

    def wait(batches):
        import time
        from pathlib import Path

        Path(begun).touch()
        time.sleep(0.2)
        yield from batches

    return SparkSession.builder.getOrCreate().range(0, 10_000, 1, 100).mapInArrow(wait, "id long")
"""
SOON = {"spark.network.timeout": "30s", "spark.network.timeoutInterval": "10s"}
NO_EXECUTOR = "has had no executor for"
NO_SERVER = "Spark does not answer"
TRIALS = {
    "nothing": "SUCCESS",
    "worker1": "SUCCESS",
    "master": "SUCCESS",
    "worker1 worker2": NO_EXECUTOR,
    "master worker1 worker2": NO_EXECUTOR,
    "executors": "SUCCESS",
    "executors again and again": NO_EXECUTOR,
    "java": "the Java process of Spark has ended",
    "connect": NO_SERVER,
    "connect: worker1 worker2": NO_EXECUTOR,
}
"""What is killed, and what the run must say."""


@contextmanager
def start_cluster(folder: Path, *, connect: bool) -> Iterator[tuple[str, dict[str, subprocess.Popen[bytes]]]]:
    """Start a master and two workers, and a server of Spark Connect if wanted; yield the url, and the processes."""
    with (
        start_master(folder) as (url, master),
        start_worker(folder, "worker1", url) as one,
        start_worker(folder, "worker2", url) as other,
    ):
        processes = {"master": master, "worker1": one, "worker2": other}
        if not connect:
            yield url, processes
            return
        with start_connect(folder, url) as (address, server):
            yield address, {**processes, "connect": server}


def kill_executors(folder: Path) -> int:
    """Kill the executors of workers that work in a folder; return their number."""
    killed = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes()
            mine = str(folder) in str((path / "cwd").readlink())
        except OSError:
            continue
        if mine and b"CoarseGrainedExecutorBackend" in command:
            os.kill(int(path.name), signal.SIGKILL)
            killed += 1
    return killed


def try_loss(name: str, expected: str, folder: Path) -> list[str]:
    """Run a spec, and kill what a trial names; return what is wrong."""
    (folder / "made.py").write_text(FUNCTION)
    pl.DataFrame({"id": [1]}).write_parquet(folder / "one.parquet")
    begun = folder / "begun"
    stored = {"kind": "stored", "connection": "lake"}
    with start_cluster(folder, connect="connect" in name) as (url, processes):
        options = {} if url.startswith("sc://") else {**SMALL, **SOON}
        spec = {
            "version": 1,
            "project": "losses",
            "connections": {"lake": {"kind": "spark", "url": url, "collect_rows": 100, "options": options}},
            "datasets": {
                "first": {**stored, "path": "one.parquet", "checks": {"rows": {"metric": "row_count", "min": 1}}},
                "slow": {
                    "kind": "python",
                    "function": "made:rows",
                    "arguments": {"begun": str(begun)},
                    "checks": {"all": {"metric": "sum.id", "min": 0}},
                },
            },
        }
        (folder / "spec.yaml").write_text(json.dumps(spec))
        run = subprocess.Popen(
            [sys.executable, "-m", "engine", "run", folder / "spec.yaml"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        )  # fmt: skip
        while not begun.exists() and run.poll() is None:
            time.sleep(0.1)
        time.sleep(3)
        began = time.monotonic()
        for process in name.replace("connect: ", "").split():
            if process in processes:
                os.killpg(processes[process].pid, signal.SIGKILL)
        if name == "java":  # that of the driver
            os.kill(int(subprocess.check_output(["pgrep", "-P", str(run.pid), "java"])), signal.SIGKILL)
        while "executors" in name and run.poll() is None:
            kill_executors(folder)
            if "again" not in name:
                break
            time.sleep(1)
        try:
            said = run.communicate(timeout=400)[0]
        except subprocess.TimeoutExpired:
            run.kill()
            said = f"it waits without an end; {run.communicate()[0]}"
    print(f"{name} killed: exit {run.returncode} after {time.monotonic() - began:.0f} s\n{said}", flush=True)
    right = expected in said and "Traceback" not in said and "\tat " not in said
    return [] if right else [f"{name} killed: {expected!r} is not said: {said[-3000:]}"]


def main() -> None:
    """Try each loss, and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=list(TRIALS))
    chosen = parser.parse_args()
    wrong = []
    for name, expected in TRIALS.items():
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                wrong += try_loss(name, expected, Path(folder))
    print("\n".join(wrong) or "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
