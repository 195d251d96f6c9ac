"""Ending a run of another process: the command line as processes."""

import subprocess
import time
from pathlib import Path

from engine.store import Store

from ..command_line import ENGINE, call_engine

SPEC = """
version: 1
project: p
channels: {ops: {kind: file, path: outbox}}
scenarios:
  last: {steps: [{name: "the only one", kind: python, function: "m:wait"}]}
  child: {steps: [{name: first, kind: python, function: "m:wait"}, {name: second, kind: python, function: "m:never"}]}
  all:
    steps: [{name: run child, kind: run_scenario, scenario: child}, {name: after, kind: python, function: "m:never"}]
    reporters: [{name: told, channel: ops, subject: "${outcome}", message: ended}]
"""
MODULE = """
import time
from pathlib import Path

def wait():
    Path("began").touch()
    while not Path("go").exists():
        time.sleep(0.05)

def never():
    Path("went on").touch()
"""


def abort(folder: Path, run: str) -> subprocess.CompletedProcess[str]:
    return call_engine(folder, "abort", "p.yaml", run)


def abort_at_first_step(folder: Path, scenario: str) -> tuple[str, subprocess.CompletedProcess[str], int, str]:
    """Return the id of a run that was aborted at its first step, the answer, and the run's exit code and log."""
    (folder / "p.yaml").write_text(SPEC)
    (folder / "m.py").write_text(MODULE)
    running = subprocess.Popen(
        [ENGINE, "run", "p.yaml", scenario], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while not (folder / "began").exists() and running.poll() is None:
            time.sleep(0.05)
        with Store.open(folder / ".engine" / "p") as store:
            run = next(one for one in store.runs.list_running() if one.scenario == scenario)
        asked = abort(folder, run.id)
        (folder / "go").touch()
        _, log = running.communicate(timeout=60)
    finally:
        running.kill()
    return run.id, asked, running.returncode, log


def test_a_run_ends_before_its_next_step_when_somebody_asks_for_it(tmp_path: Path) -> None:
    run, asked, code, log = abort_at_first_step(tmp_path, "all")
    assert (asked.returncode, "it ends when the current step, 'run child', has ended" in asked.stdout) == (0, True), (
        asked
    )
    assert (code, "child ABORTED: this run was aborted by " in log) == (130, True), log
    assert not (tmp_path / "went on").exists()
    with Store.open(tmp_path / ".engine" / "p") as store:
        assert [one.outcome for one in store.runs.history()] == ["ABORTED", "ABORTED"]
        assert [one.state for one in store.outbox.list_of_run(run)] == ["SENT"]
    again = abort(tmp_path, run)
    assert (again.returncode, f"run {run} has already ended ABORTED" in again.stderr) == (2, True)


def test_a_run_that_is_asked_to_end_at_its_last_step_is_aborted_too(tmp_path: Path) -> None:
    run, asked, code, log = abort_at_first_step(tmp_path, "last")
    assert "it ends when the current step, 'the only one', has ended" in asked.stdout
    assert (code, "Steps that it had finished: the only one SUCCESS." in log) == (130, True), log
    with Store.open(tmp_path / ".engine" / "p") as store:
        assert [(one.id, one.outcome) for one in store.runs.history()] == [(run, "ABORTED")]
