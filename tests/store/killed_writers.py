"""Writes without end until it is killed: a fresh child for every kill, forked from a process with all imports done.

Protocol on standard output and input: "killed" after each kill; a line to go on. The kills come at random instants.
"""

import itertools
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.outcome import Outcome
from engine.store import Event, OutboxMessage, RunRecord, StepRecord, Store, new_id

FILES = 3


def write_without_end(folder: Path) -> None:
    with Store.open(folder) as store:
        for turn in itertools.count():
            run = RunRecord(new_id(store.now()), "p", "s", store.now(), "ann@host")
            store.start_run(run)
            evaluation = Evaluation(
                new_id(store.now()), "the_MES", f"turn {turn}", {}, store.now(), Fingerprints("m", "d", "r", run.id),
                "0", "0", 1, 1, 1, {f"psi.c{i}": MetricValue(float(i)) for i in range(20)}, run=run.id,
            )  # fmt: skip
            with store.staging() as files:
                for number in range(FILES):
                    (files / str(number)).write_text(evaluation.id)
                store.add_evaluation(evaluation, files)
            with store.staging() as files:
                (files / "model").write_text("model")
                store.add_model_version("authorization", run.id, files)
            if turn % 3 == 2:
                store.remove_evaluations("the_MES", f"turn {turn - 1}", by="ann@host")
            step = StepRecord("b", "build", Outcome.SUCCESS, store.now(), store.now())
            store.add_step(run.id, step)
            event = Event("run", "info", "ended", store.now())
            messages = [OutboxMessage(f"{run.id}.{i}", run.id, "r", "c", (), "s", "t", store.now()) for i in range(3)]
            ended = replace(run, outcome=Outcome.SUCCESS, ended=store.now(), steps=(step,), events=(event,))
            store.finish_run(ended, messages)


def main(folder: Path, kills: int, seed: int) -> None:
    instants = random.Random(seed)
    for _ in range(kills):
        writers = []
        for _ in range(instants.choice([1, 1, 2])):
            writers.append(os.fork())
            if writers[-1] == 0:
                write_without_end(folder)
        time.sleep(instants.uniform(0.005, 0.12))
        for writer in writers:
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
        print("killed", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
