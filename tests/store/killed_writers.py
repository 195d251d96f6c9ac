"""Writers that are killed: children forked from a process with all imports done, each killed at another instant.

An instant is a point just before or after a call into the operating system, SQLite or psycopg, counted from the opening
of the store: so kills fall where it matters, however busy the machine is. Protocol: reads the address of the server,
which is empty for rows in the folder; prints "killed" after each kill, then waits for a line before the next. With
`adopt`, the rows of a folder are brought to the server instead of written.
"""

import os
import random
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg

from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.outcome import Outcome
from engine.store import Event, OutboxMessage, RunRecord, StepRecord, Store, generate_id
from engine.store.location import PostgresqlSchema, StateLocation
from engine.store.state.adoption import adopt_rows

TURNS = 2
SCHEMA = "engine_killed"
SENDING = {
    psycopg.Connection.connect.__func__.__code__,
    psycopg.Connection.close.__code__,
    psycopg.Connection.commit.__code__,
    psycopg.Connection.rollback.__code__,
    psycopg.Cursor.execute.__code__,
    psycopg.Cursor.executemany.__code__,
}
"""What is called to send something to a server."""


def locate(folder: Path, url: str) -> StateLocation:
    return StateLocation(folder, PostgresqlSchema(url, SCHEMA) if url else None)


def write(location: StateLocation) -> None:
    with Store.open(location) as store:
        for turn in range(TURNS):
            run = RunRecord(generate_id(store.database.now()), "p", "s", store.database.now(), "ann@host")
            store.runs.start(run)
            evaluation = Evaluation(
                generate_id(store.database.now()), "the_MES", f"turn {turn}", {}, store.database.now(),
                Fingerprints("m", "d", "r", run.id),
                "0", "0", 1, 1, 1, {f"psi.c{i}": MetricValue(float(i)) for i in range(20)}, run=run.id,
            )  # fmt: skip
            with store.folders.stage() as files:
                for number in range(3):
                    (files / str(number)).write_text(evaluation.id)
                store.evaluations.add(evaluation, files)
            with store.folders.stage() as files:
                later = replace(evaluation, id=generate_id(store.database.now()), name=f"again {turn}")
                for number in range(3):
                    (files / str(number)).write_text(later.id)
                store.evaluations.add(later, files, supersedes=evaluation.id)
            with store.folders.stage() as files:
                (files / "model").write_text("model")
                store.models.add("authorization", run.id, files)
            if turn == 1:
                store.evaluations.remove("the_MES", "turn 0", by="ann@host")
            step = StepRecord("b", "build", Outcome.SUCCESS, store.database.now(), store.database.now())
            store.runs.add_step(run.id, step)
            event = Event("run", "info", "ended", store.database.now())
            messages = [
                OutboxMessage(f"{run.id}.{i}", run.id, "r", "c", (), "s", "t", store.database.now()) for i in range(3)
            ]
            ended = replace(run, outcome=Outcome.SUCCESS, ended=store.database.now(), steps=(step,), events=(event,))
            store.runs.finish(ended, messages)


def at_every_point(act: Callable[[], None]) -> None:
    """Call `act` before and after every call into the operating system, SQLite or psycopg."""

    def watch(frame: FrameType, event: str, called: Any) -> None:
        if event in ("c_call", "c_return"):
            owner = getattr(called, "__self__", None)
            if isinstance(owner, sqlite3.Connection | sqlite3.Cursor) or getattr(owner, "__name__", "") == "posix":
                act()
        elif frame.f_code in SENDING:
            act()

    sys.setprofile(watch)


def count_points(work: Callable[[], object]) -> int:
    count = 0

    def one_more() -> None:
        nonlocal count
        count += 1

    at_every_point(one_more)
    work()
    sys.setprofile(None)
    return count


def killed_at(point: int, work: Callable[[], object]) -> None:
    left = point

    def maybe() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    at_every_point(maybe)
    work()


def main(folder: Path, kills: int, *, adopt: bool) -> None:
    url = sys.stdin.readline().strip()
    location = locate(folder, url)
    if adopt:
        write(locate(folder.with_name("counted"), ""))
        points = count_points(lambda: adopt_rows(locate(folder.with_name("counted"), sys.stdin.readline().strip())))
    else:
        points = count_points(lambda: write(location))
    instants = random.Random(int(os.environ.get("ENGINE_SEED", "0")))
    for number in range(kills):
        stratum = number * points // kills, (number + 1) * points // kills
        if adopt:
            location = locate(folder / str(number), sys.stdin.readline().strip())
            write(locate(location.folder, ""))
        writers = []
        for _ in range(1 + (0 if adopt else number % 3 // 2)):  # every third time two at once
            point = instants.randint(*stratum)
            writers.append(os.fork())
            if writers[-1] == 0:
                killed_at(point, partial(adopt_rows if adopt else write, location))
                os._exit(0)
        for writer in writers:
            os.waitpid(writer, 0)
        print("killed", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), adopt=sys.argv[3:] == ["adopt"])
