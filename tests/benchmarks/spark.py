"""What Spark costs: a comparison on a cluster of two executors on this machine, beside the same without Spark.

    python tests/benchmarks/spark.py [--rows 10_000_000] [--folder DIR]

Needs pyspark and Java. The files of the benchmark (see `data.py`) are compared with the profile of a million rows, once
each way, after a comparison of few rows that starts the workers and loads the kernels. CPU seconds are those of all
processes, Java's included. The second table is measured without Spark: parts of the batch are read as an executor reads
a partition, and their states are merged as executors merge them. From its figures per row, per partition and per
column follows what a larger cluster needs.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from timing import Cost, alone, cost, machine

from engine import drift
from engine.drift.profiles.column_passes import Feed
from engine.drift.profiles.profiling import read_batch_columns
from engine.drift.profiles.samples import FrameSample
from engine.drift.profiles.states import pack_state, unpack_state
from engine.drift.spark.parts import pack_expressions
from engine.drift.spark.passes import accumulate_part, merge_states

HERE = Path(__file__).parent
REFERENCE_ROWS = 1_000_000
EXECUTORS = "local-cluster[2,1,2048]"


def start_session(folder: Path) -> Any:
    """Return a session whose two executors run on this machine."""
    import pyspark
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    os.environ["SPARK_WORKER_DIR"] = str(folder / "work")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.local.dir": str(folder),
        "spark.executor.memory": "2g",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "131072",
    }
    builder = SparkSession.builder.master(EXECUTORS)
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def cpu_of_family() -> float:
    """Return the CPU seconds of this process and of all that it has started, directly or not, and that still run."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(stat.parent.name)
        parents[number] = int(fields[1])
        seconds[number] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(seconds.get(member, 0.0) for member in family)


def cost_on_cluster(reference: drift.Profile, frame: Any) -> Cost:
    """Return the seconds of a comparison on executors."""
    wall, cpu = time.perf_counter(), cpu_of_family()
    drift.compare(reference, frame)
    return Cost(time.perf_counter() - wall, cpu_of_family() - cpu)


class MeasuredParts(FrameSample):
    """A frame that is read in parts as by executors; `passes` has what each pass costs."""

    def __init__(self, parts: list[pl.DataFrame]) -> None:
        super().__init__(parts[0].head(0).lazy())
        self._parts = parts
        self.passes: list[dict[str, float]] = []

    def feed(self, reading: Mapping[str, pl.Expr]) -> Feed:
        def feed(readers: Mapping[str, Any], *, again: bool) -> int:
            setups = [pack_state(reader.setup()) for reader in readers.values()]
            packed = pack_expressions(reading[name] for name in readers)
            start = time.process_time()
            parts = [dict(accumulate_part(setups, packed, iter([part.select(list(readers))]))) for part in self._parts]
            collected = time.process_time()
            merged = {key: merge_states(setups, key, [part[key] for part in parts]) for key in parts[0]}
            rows = int(merged[-1])
            sent = sum(len(state) for part in parts for state in part.values())
            self.passes.append(
                {
                    "columns": len(readers),
                    "ns a row": (collected - start) / rows * 1e9,
                    "kB to a partition": sum(map(len, setups)) / 1e3,
                    "kB from a partition": sent / len(parts) / 1e3,
                    "ms to merge one": (time.process_time() - collected) / len(parts) * 1e3,
                }
            )
            for position, reader in enumerate(readers.values()):
                reader.merge(unpack_state(merged[position]))
            return rows

        return feed


def measure_parts(reference: drift.Profile, batch: Path, rows_of_part: int) -> list[dict[str, float]]:
    """Return what each pass costs per row and per partition."""
    frame = pl.scan_parquet(batch).head(8 * rows_of_part).collect()
    sample = MeasuredParts([frame.slice(at, rows_of_part) for at in range(0, len(frame), rows_of_part)])
    read_batch_columns(reference, sample, lambda _, column: column, exact=True)
    return sample.passes


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "engine-benchmarks")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, rows, seed, moved in (("reference", REFERENCE_ROWS, 0, 0.0), ("batch", chosen.rows, 7, 0.05)):
        files[name] = chosen.folder / f"spark-{name}-{rows}.parquet"
        if not files[name].exists():
            alone(HERE / "data.py", files[name], "--rows", rows, "--seed", seed, "--drift", moved)
    reference = drift.profile(files["reference"])
    drift.compare(reference, pl.scan_parquet(files["reference"]).head(100_000))  # loads the kernels
    with tempfile.TemporaryDirectory() as folder:
        session = start_session(Path(folder))
        drift.compare(reference, session.read.parquet(str(files["reference"])).limit(100_000).repartition(4))
        frame = session.read.parquet(str(files["batch"]))
        print(
            f"{chosen.rows:,} rows x {len(reference.columns)}, {frame.rdd.getNumPartitions()} partitions; {machine()}"
        )
        ways = {
            "one process": lambda: cost(lambda: drift.compare(reference, files["batch"])),
            EXECUTORS: lambda: cost_on_cluster(reference, frame),
        }
        print(f"{'':24}{'wall s':>8}{'CPU s':>8}{'CPU ns a row':>14}")
        for name, way in ways.items():
            wall, cpu = way()
            print(f"{name:24}{wall:8.1f}{cpu:8.1f}{cpu / chosen.rows * 1e9:14,.0f}")
        session.stop()
    for rows in (100_000, 1_000_000):
        for number, found in enumerate(measure_parts(reference, files["batch"], min(rows, chosen.rows)), 1):
            told = ", ".join(f"{key} {value:,.1f}" for key, value in found.items())
            print(f"partitions of {rows:,} rows, pass {number}: {told}")


if __name__ == "__main__":
    main()
