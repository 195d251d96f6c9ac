"""How long `engine prune` takes in a large state, and how long a run would have to wait for one of its transactions.

    python tests/benchmarks/retention.py [RUNS] [EVALUATIONS]

The state has RUNS runs (default 100,000) with three steps, an event, a sent message, a fire and a log each, and
EVALUATIONS evaluations (default 10,000) with 260 metrics and 23 kB of details, each with a file of 1 kB.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import insert

from engine import spec
from engine.store import Store
from engine.store.databases.sqlite import SqliteDatabase
from engine.store.retention.pruning import prune_state
from engine.store.state.size import describe_size
from engine.store.tables import (
    evaluation_details,
    evaluation_metrics,
    evaluations,
    fires,
    outbox,
    run_ends,
    run_events,
    run_steps,
    runs,
)

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PART = 1000
SPEC = """
version: 1
project: p
datasets: {t: {path: t.csv}}
evaluation_stores: {x: {dataset: t, evaluation: {time: "${as_of}"}, reference: {kind: rolling, last: 7}}}
"""


def fill_runs(store: Store, count: int) -> None:
    """Insert runs, an hour apart, the last one now."""
    for first in range(0, count, PART):
        numbers = range(first + 1, first + PART + 1)
        ids = {number: f"20260101-000000-000000-{number:08x}" for number in numbers}
        times = {number: NOW - timedelta(hours=count - number) for number in numbers}
        step = {"kind": "build", "outcome": "SUCCESS", "reused": False, "reason": ""}
        with store.database.begin_write() as connection:
            connection.execute(
                insert(runs),
                [
                    {
                        "number": one, "id": ids[one], "project": "p", "scenario": f"s{one % 4}", "started": times[one],
                        "who": "ada@host", "trigger": "t", "variables": {}, "ended": times[one], "outcome": "SUCCESS",
                        "short_id": f"{one:08x}", "fire": one,
                    }
                    for one in numbers
                ],
            )  # fmt: skip
            steps = [
                {"run": one, "place": place, "name": "n", "started": times[one], "ended": times[one], **step}
                for one in numbers
                for place in range(3)
            ]
            connection.execute(insert(run_steps), steps)
            event = {"kind": "run", "severity": "info", "what": "w", "range": {}, "where": ""}
            connection.execute(
                insert(run_events), [{"run": one, "place": 0, "at": times[one], **event} for one in numbers]
            )
            ends = [
                {"number": one, "run": ids[one], "scenario": f"s{one % 4}", "outcome": "SUCCESS"} for one in numbers
            ]
            connection.execute(insert(run_ends), ends)
            connection.execute(
                insert(fires),
                [
                    {
                        "number": one, "scenario": f"s{one % 4}", "trigger": "t", "key": f"cron:{one}", "attempt": 1,
                        "scheduled": times[one], "seen_at": times[one], "values": {}, "changed": [], "state": "DONE",
                        "reason": "", "run": ids[one],
                    }
                    for one in numbers
                ],
            )  # fmt: skip
            connection.execute(
                insert(outbox),
                [
                    {
                        "id": f"m{one}", "run": ids[one], "reporter": "r", "channel": "c", "to": ["a@b"],
                        "state": "SENT",
                        "subject": "s", "text": "t" * 500, "created": times[one], "tries": 1,
                    }
                    for one in numbers
                ],
            )  # fmt: skip
        for id_ in ids.values():
            folder = store.folder / "runs" / id_
            folder.mkdir()
            (folder / "log.jsonl").write_text("{}\n" * 20)


def fill_evaluations(store: Store, count: int) -> None:
    """Insert evaluations, a day apart, the last one now."""
    wide = {"text": "x" * 23_000}
    for first in range(0, count, PART):
        with store.database.begin_write() as connection:
            for number in range(first + 1, first + PART + 1):
                at = NOW - timedelta(days=count - number)
                row = {
                    "number": number, "id": f"e{number}", "store": "x", "name": f"{at:%Y-%m-%d}", "labels": {},
                    "created": at, "model_fingerprint": "m", "dataset_fingerprint": f"d{number}",
                    "reference_fingerprint": "r", "parameters_fingerprint": "p", "engine_version": "1",
                    "kernel_version": "1", "rows_read": 10, "rows_used": 10, "reference_rows": 10, "notes": [],
                    "short_id": f"e{number}", "timed": True, "time_start": at,
                }  # fmt: skip
                connection.execute(insert(evaluations).values(row))
                details = {"facts": {}, "left_out": {}, "importance": {}, "prediction": {}, "columns": {}}
                connection.execute(insert(evaluation_details).values(evaluation=number, performance=wide, **details))
                metrics = [
                    {"evaluation": number, "place": place, "metric": f"drift.c{place}", "value": 0.5, "failed": False,
                     "unlabelled": False}
                    for place in range(260)
                ]  # fmt: skip
                connection.execute(insert(evaluation_metrics), metrics)
        for number in range(first + 1, first + PART + 1):
            folder = store.folder / "evaluations" / f"e{number}"
            folder.mkdir()
            (folder / "columns.profile").write_text("x" * 1000)


class TimedDatabase(SqliteDatabase):
    """A database that keeps how long its longest writing transaction took."""

    longest = 0.0

    @contextmanager
    def begin_write(self) -> Iterator[object]:
        """Open a transaction, and measure it."""
        with super().begin_write() as connection:
            began = time.monotonic()
            yield connection
        self.longest = max(self.longest, time.monotonic() - began)


def main() -> None:
    """Fill a state, prune it, and print what each part took."""
    run_count, evaluation_count = (int(text) for text in [*sys.argv[1:], "100000", "10000"][:2])
    with TemporaryDirectory() as folder:
        path = Path(folder, "p.yaml")

        def load(retention: str) -> spec.ProjectSpec:
            path.write_text(f"{SPEC}retention: {retention}\n")
            return spec.load(path, {}, {})

        Store.open(Path(folder, "state")).close()
        database = TimedDatabase(Path(folder, "state"))
        with Store.connect(database) as store:
            fill_runs(store, run_count)
            fill_evaluations(store, evaluation_count)
            store.database.merge_log(whole=True)
            began = time.monotonic()
            print(describe_size(store), f"measured in {time.monotonic() - began:.1f} s")
            for retention in (
                "{runs: {keep: 100000}, evaluations: {keep: 100000}}",
                "{runs: {keep: 1000}}",
                "{evaluation_files: {keep: 1000}}",
                "{evaluations: {keep: 1000}}",
            ):
                project = load(retention)
                for dry in (True, False):
                    database.longest = 0.0
                    began = time.monotonic()
                    done = prune_state(store, project, NOW, dry=dry)
                    took = time.monotonic() - began
                    print(f"{retention} dry={dry}: {took:.2f} s, longest transaction {database.longest:.3f} s, {done}")
            began = time.monotonic()
            store.database.vacuum()
            print(f"vacuum: {time.monotonic() - began:.1f} s, {describe_size(store)}")


if __name__ == "__main__":
    main()
