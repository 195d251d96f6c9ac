"""Writers that are killed: children forked from a process with all imports done, each killed at another instant.

An instant is a point just before or after a call into the operating system or SQLite, counted from the opening of
the store: so kills fall where it matters, however busy the machine is. Protocol: prints "killed" after each kill, then
waits for a line before the next.
"""

import os
import random
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.outcome import Outcome
from engine.store import Event, OutboxMessage, RunRecord, StepRecord, Store, generate_id

TURNS = 2


def write(folder: Path) -> None:
    with Store.open(folder) as store:
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
    """Call `act` before and after every call into the operating system or SQLite."""

    def watch(frame: FrameType, event: str, called: Any) -> None:
        if event in ("c_call", "c_return"):
            owner = getattr(called, "__self__", None)
            if isinstance(owner, sqlite3.Connection | sqlite3.Cursor) or getattr(owner, "__name__", "") == "posix":
                act()

    sys.setprofile(watch)


def count_points(folder: Path) -> int:
    count = 0

    def one_more() -> None:
        nonlocal count
        count += 1

    at_every_point(one_more)
    write(folder)
    sys.setprofile(None)
    return count


def killed_at(folder: Path, point: int) -> None:
    left = point

    def maybe() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    at_every_point(maybe)
    write(folder)


def main(folder: Path, kills: int) -> None:
    points = count_points(folder)
    instants = random.Random(int(os.environ.get("ENGINE_SEED", "0")))
    for number in range(kills):
        stratum = number * points // kills, (number + 1) * points // kills
        writers = []
        for _ in range(1 + number % 3 // 2):  # every third time two at once
            point = instants.randint(*stratum)
            writers.append(os.fork())
            if writers[-1] == 0:
                killed_at(folder, point)
                os._exit(0)
        for writer in writers:
            os.waitpid(writer, 0)
        print("killed", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
