"""Ending a run of another process: the command line as processes."""

import subprocess
import sys
import time
from pathlib import Path

from engine.store import Store

ENGINE = Path(sys.executable).with_name("engine")
SPEC = """
version: 1
project: p
channels: {ops: {kind: file, path: outbox}}
scenarios:
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


def test_a_run_ends_before_its_next_step_when_somebody_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(SPEC)
    (tmp_path / "m.py").write_text(MODULE)

    def abort(run: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ENGINE, "abort", "p.yaml", run], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    running = subprocess.Popen(
        [ENGINE, "run", "p.yaml", "all"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while not (tmp_path / "began").exists() and running.poll() is None:
            time.sleep(0.05)
        with Store.open(tmp_path / ".engine" / "p") as store:
            run = next(one for one in store.runs.list_running() if one.scenario == "all")
        asked = abort(run.id)
        (tmp_path / "go").touch()
        _, log = running.communicate(timeout=60)
    finally:
        running.kill()
    assert (asked.returncode, "it ends before its next step" in asked.stdout) == (0, True), asked
    assert (running.returncode, "child ABORTED: this run was aborted by " in log) == (130, True), log
    assert not (tmp_path / "went on").exists()
    with Store.open(tmp_path / ".engine" / "p") as store:
        assert [one.outcome for one in store.runs.history()] == ["ABORTED", "ABORTED"]
        assert [one.state for one in store.outbox.list_of_run(run.id)] == ["SENT"]
    again = abort(run.id)
    assert (again.returncode, f"run {run.id} has ended ABORTED already" in again.stderr) == (2, True)
