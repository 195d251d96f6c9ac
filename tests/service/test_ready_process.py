"""The process that is ready before a run is expected: it is there in time, and not for longer than it may be needed."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import engine
from engine.service.runs.ready_process import RETRY_SECONDS, UNUSED_SECONDS, ReadyProcess
from engine.store import utc_now

from ..clocks import SecondsClock
from ..processes import is_alive, list_descendants
from .served import Served, describe_scenario, read_state, wait_until, write_project

pytestmark = pytest.mark.slow


def list_children() -> set[int]:
    return set(list_descendants(os.getpid()))


def test_a_process_that_no_run_needs_is_ended_after_a_while() -> None:
    clock, before = SecondsClock(), list_children()
    ready = ReadyProcess(os.environ, clock=clock)
    ready.prepare()
    ready.prepare()
    first = list_children() - before
    assert first
    clock.now += UNUSED_SECONDS - 1
    ready.end_unused()
    assert first <= list_children()
    clock.now += 1
    ready.end_unused()
    assert not list_children() & first


def test_a_process_that_has_died_is_not_given_and_not_replaced_at_once() -> None:
    clock, before = SecondsClock(), list_children()
    ready = ReadyProcess(os.environ, program=("-c", "raise SystemExit(1)"), clock=clock)
    ready.prepare()
    wait_until(lambda: not list_children() - before, "the process has not ended")
    ready.prepare()
    assert not list_children() - before
    clock.now += RETRY_SECONDS
    ready.prepare()
    process = ready.take()
    process.end()
    ready.end()
    assert not list_children() - before


def test_the_process_of_a_run_waits_before_the_time_of_its_trigger_and_ends_with_the_server(tmp_path: Path) -> None:
    state = write_project(tmp_path, "scenarios:\n" + describe_scenario("s", "note", every="8s"))
    server = Served(tmp_path)
    try:
        due = datetime.fromisoformat(server.wait_for("served")["next"])
        wait_until(lambda: utc_now() > due - timedelta(seconds=1), "its time does not come", server)
        waiting = list_descendants(server.process.pid)
        assert utc_now() < due
        assert len(waiting) == 2, "no process is ready"
        server.wait_for("run")
        noted = int((tmp_path / "noted.txt").read_text().split()[1])
        assert noted in waiting
        wait_until(lambda: len(list_descendants(server.process.pid)) == 2, "no process is ready", server)
        waiting = list_descendants(server.process.pid)
        assert noted not in waiting  # each run has a process of its own
        server.end(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, waiting)), "the process that waits has outlived the server")
    finally:
        server.process.kill()
        server.process.wait()
    assert [run.state for run in read_state(state)[1]] == ["SUCCESS"]


REPLACED = """
import os
from pathlib import Path
import engine
from engine.service.runs.ready_process import ReadyProcess

ready = ReadyProcess(os.environ)
children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
ready.prepare()
first = children.read_text()
if REPLACING:
    code = Path(engine.__file__)
    code.write_text(code.read_text() + "# another release")
process = ready.take()
print(first == children.read_text())
process.end()
"""


@pytest.mark.parametrize("replacing", [False, True])
def test_a_process_of_code_that_was_replaced_is_not_given(tmp_path: Path, replacing: bool) -> None:
    shutil.copytree(Path(engine.__file__).parent, tmp_path / "engine")
    script = REPLACED.replace("REPLACING", str(replacing))
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout == f"{not replacing}\n"
