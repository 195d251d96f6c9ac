"""Kill -9 at any moment, two runs at once, a full disk: the state stays whole and the next run finishes."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.evaluation.snapshots.snapshot import Snapshot
from engine.outcome import ExitCode, Outcome
from engine.store import Store

from ..command_line import ENGINE
from ..small_disks import fill_disk, mount_small_disk

KILLS = int(os.environ.get("ENGINE_KILLS", "10"))
"""tests/campaigns/kills.py sets more of them, and other moments with every SEED."""
SEED = int(os.environ.get("ENGINE_SEED", "7"))

SPEC = """
    variables: {n: 0}
    datasets:
      old: {path: old.parquet, entity: person}
      new: {kind: query, sql: "SELECT * FROM later WHERE age > ${n}"}
      later: {path: new.parquet, checks: {enough: {metric: row_count, min: 1}}}
    models:
      it:
        algorithm: decision_tree
        task: binary_classification
        dataset: old
        target: label
        features: {exclude: [person]}
    evaluation_stores:
      watched: {model: it, dataset: new, evaluation: {name: "n ${n}"}, checks: {moved: {metric: drift.*, max: 1}}}
    channels: {box: {kind: file, path: outbox}}
    scenarios:
      all:
        for_each: [{n: 20}, {n: 25}, {n: 30}]
        steps:
          - {name: build, kind: build, target: watched}
          - {name: check, kind: run_checks, target: watched}
        reporters: [{name: tell, channel: box}]
"""


@pytest.fixture
def project(spec: Callable[[str], Path], rows: Callable[..., Path]) -> Path:
    rows("old.parquet", 3000)
    rows("new.parquet", 3000, seed=1)
    return spec(SPEC)


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [ENGINE, "run", project.name, *arguments],
        cwd=project.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


ENDED = (0, ExitCode.UNDELIVERED << 8)
"""How a run ends that was not killed, as `os.wait` gives it."""


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def check_whole(folder: Path, *, quiet: bool) -> list[str]:
    """Every evaluation has all that belongs to it; nothing else is there. Return the names."""
    with Store.open(folder) as state:
        if quiet:
            assert all(run.outcome is not None for run in state.runs.history())
        found = state.evaluations.history("watched")
        for evaluation in found:
            assert Snapshot.load(state.evaluations.folder_of(evaluation.id)).columns.rows == evaluation.rows_used
            assert evaluation.metrics["data_drift"].value is not None
        assert {path.name for path in (folder / "evaluations").iterdir()} == {e.id for e in found}
        return [evaluation.name for evaluation in found]


def check_told(project: Path) -> int:
    """Every run of the state has ended, and has sent its message. Return how many of them were killed.

    A message waits instead if its sender was killed while it was sending: nobody else may send it until the sender's
    claim has expired.
    """
    told = [path.name for path in (project.parent / "outbox").iterdir()]
    with Store.open(project.parent / ".engine" / "test") as state:
        ended = state.runs.history()
        waiting = {message.run for message in state.outbox.list_undelivered()}
    for run in ended:
        assert run.outcome is not None
        assert run.id in waiting or [name for name in told if run.id in name], f"nobody is told of {run}"
    assert len(waiting) <= 1
    return [run.outcome for run in ended].count(Outcome.ABORTED)


class Forks:
    """Runs that start at once: see forked_runs.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.orders, self.answers = process.stdin, process.stdout

    def start(self, spec: Path) -> int:
        """Start a run and return its pid."""
        self.orders.write(f"{spec}\n")
        self.orders.flush()
        return int(self.answers.readline())

    def wait(self) -> int:
        """Return how it ended: 0, or what killed it."""
        return int(self.answers.readline())


@pytest.fixture
def forks() -> Iterator[Forks]:
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forked_runs.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield Forks(process)


@pytest.mark.slow
def test_a_run_may_be_killed_at_any_moment(project: Path, forks: Forks, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project.parent, elsewhere)
    forks.start(elsewhere / project.name)
    forks.wait()  # the first compiles
    shutil.rmtree(elsewhere / ".engine" / "test")
    begun = time.monotonic()
    forks.start(elsewhere / project.name)
    assert forks.wait() == 0
    whole = time.monotonic() - begun
    chance = random.Random(SEED)
    names: list[str] = []
    killed = aborted = 0
    while killed < KILLS:
        if len(names) == 3:
            forks.start(project)
            assert forks.wait() in ENDED
            aborted += check_told(project)
            shutil.rmtree(project.parent / ".engine" / "test")
        pid = forks.start(project)
        time.sleep(chance.uniform(0, 0.5) * whole)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed += forks.wait() == signal.SIGKILL
        names = check_whole(project.parent / ".engine" / "test", quiet=False)
        assert names == [f"n {n}" for n in (20, 25, 30)][: len(names)], "each once, in order"
    forks.start(project)
    assert forks.wait() in ENDED
    assert len(check_whole(project.parent / ".engine" / "test", quiet=True)) == 3
    aborted += check_told(project)
    assert aborted > KILLS / 3, "others were killed before they were recorded, or after they had ended"
    print(f"{killed} kills; {aborted} runs were recorded as RUNNING when they were killed, and each was told")
    with Store.open(project.parent / ".engine" / "test") as state:
        assert len(state.outbox.list_undelivered()) <= 1
        assert state.runs.history("all")[-1].outcome is Outcome.SUCCESS
        assert not list((state.folder / "staging").iterdir())


@pytest.mark.slow
def test_two_runs_at_once_do_the_work_once(project: Path) -> None:
    both = [start(project, "--verbose"), start(project, "--verbose")]
    said = [finish(process) for process in both]
    assert len(check_whole(project.parent / ".engine" / "test", quiet=True)) == 3
    (waited,) = [text for text in said if "waiting" in text]
    assert "scenario all is busy: held by process" in waited
    assert "reused" in waited


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mount_small_disk(tmp_path / "small", "size=3m") as folder:
        yield folder


@pytest.mark.slow
def test_a_full_disk_is_reported_and_nothing_is_lost(project: Path, small_disk: Path) -> None:
    for path in project.parent.glob("*.*"):
        shutil.copy(path, small_disk)
    ballast = small_disk / "ballast"
    finish(start(small_disk / project.name))
    before = check_whole(small_disk / ".engine" / "test", quiet=True)
    fill_disk(ballast)
    process = start(small_disk / project.name, "--var", "n=1", "--fail-on", "never")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 3, said
    assert "Traceback" not in said
    assert "full" in said
    assert str(small_disk / ".engine" / "test") in said
    ballast.unlink()
    assert check_whole(small_disk / ".engine" / "test", quiet=True) == before
    finish(start(small_disk / project.name))
