"""The process of a step with a timeout: it ends with its function, and nothing that it has started outlives it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engine.outcome import Outcome
from engine.scenarios import process
from engine.scenarios.result import StepResult
from engine.scenarios.session import CallResult
from engine.store import Store

from ..command_line import ENGINE, call_engine
from ..processes import is_alive
from ..waiting import wait_for

Run = Callable[..., CallResult]

MODULE = """
    import os, pathlib, signal, subprocess, sys, threading, time

    HERE = pathlib.Path(__file__).parent

    def live_on():
        # Writes for as long as it lives: beside the next run, if nobody ends it.
        (HERE / "pids").open("a").write(f"{os.getpid()}\\n")
        time.sleep(100)
        os._exit(0)

    def leave_child():
        if os.fork() == 0:
            live_on()

    def leave_session():
        if os.fork() == 0:
            os.setsid()
            live_on()

    def leave_daemon():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                live_on()
            os._exit(0)
        os.wait()

    def leave_printer():
        loop = "echo $$ >> pids; while :; do echo out; echo err >&2; sleep 0.02; done"
        subprocess.Popen(["sh", "-c", loop], cwd=HERE, start_new_session=True)

    def leave_thread():
        threading.Thread(target=time.sleep, args=[100]).start()

    def close_stdout():
        print("before")
        sys.stdout.close()
        os.close(1)

    def fork_and_return():
        os.fork()
        return "once"

    def die(number):
        leave_daemon()
        os.kill(os.getpid(), number)

    def exit_by(how):
        leave_session()
        os._exit(5) if how == "os._exit" else sys.exit(5)

    def kill_supervisor():
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(100)

    def hold():
        leave_child()
        leave_daemon()
        leave_printer()
        live_on()

    def spin():
        import numba

        @numba.njit
        def turn():
            count = 0
            while count >= 0:
                count = (count + 1) & 1023
            return count

        (HERE / "pids").open("a").write(f"{os.getpid()}\\n")
        turn()
"""


@pytest.fixture
def step(spec: Callable[[str], Path], module: Callable[[str], None], run: Run) -> Callable[..., StepResult]:
    """Run a function as a step with a timeout of 60 s; its processes must be gone long before, when it returns."""
    module(MODULE)

    def step(function: str, **arguments: object) -> StepResult:
        spec(f"""
            scenarios:
              all: {{steps: [{{name: it, kind: python, function: "mine:{function}", timeout: 60s,
                     arguments: {arguments}}}]}}
        """)
        begun = time.monotonic()
        (result,) = run().runs
        assert time.monotonic() - begun < 30
        return result.steps[0]

    return step


def survivors(folder: Path) -> list[int]:
    """Return the processes of the step that are still alive."""
    noted = folder / "pids"
    return [pid for pid in map(int, noted.read_text().split()) if is_alive(pid)] if noted.exists() else []


def read_log(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / ".engine" / "test" / "runs").glob("*/log.txt"))


@pytest.mark.parametrize("leave", ["leave_child", "leave_session", "leave_daemon", "leave_printer"])
def test_a_step_ends_with_its_function_and_what_it_leaves_ends_with_the_step(
    leave: str, step: Callable[..., StepResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "EXIT_LIMIT", 20.0)  # on a busy machine
    assert step(leave).outcome is Outcome.SUCCESS
    assert survivors(tmp_path) == []
    assert "the step has left processes running, which were ended with it" in read_log(tmp_path)


def test_a_thread_that_never_ends_does_not_hold_the_step(step: Callable[..., StepResult], tmp_path: Path) -> None:
    assert step("leave_thread").outcome is Outcome.SUCCESS
    assert "a function has probably left a thread running" in read_log(tmp_path)


@pytest.mark.parametrize(("function", "reason"), [("close_stdout", ""), ("fork_and_return", "once")])
def test_a_function_may_close_the_output_and_fork(
    function: str, reason: str, step: Callable[..., StepResult], tmp_path: Path
) -> None:
    found = step(function)
    assert (found.outcome, found.reason) == (Outcome.SUCCESS, reason)
    assert read_log(tmp_path).count("SUCCESS") == 3, "one of the function, one of the step, one of the run"


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        ("die", {"number": 9}, "was killed by signal 9 (SIGKILL) before it returned a result: the system may have run"),
        ("die", {"number": 11}, "was killed by signal 11 (SIGSEGV) before it returned a result: a library has crashed"),
        ("exit_by", {"how": "os._exit"}, "ended with exit code 5 before it returned a result"),
        ("exit_by", {"how": "sys.exit"}, "SystemExit: 5"),
        ("kill_supervisor", {}, "another program ended its process"),
    ],
)
def test_a_process_that_dies_fails_its_step_with_the_reason(
    function: str, arguments: dict[str, object], reason: str, step: Callable[..., StepResult], tmp_path: Path
) -> None:
    found = step(function, **arguments)
    assert found.outcome is Outcome.FAILED
    assert reason in found.reason
    assert survivors(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("function", ["hold", "spin"])
def test_nothing_survives_the_kill_of_its_run_and_no_lock_is_held_on(
    function: str, spec: Callable[[str], Path], module: Callable[[str], None], tmp_path: Path
) -> None:
    module(MODULE)
    project = spec(f"""
        scenarios: {{all: {{steps: [{{name: it, kind: python, function: "mine:{function}", timeout: 100s}}]}}}}
    """)
    with subprocess.Popen([ENGINE, "run", project.name], cwd=tmp_path, stderr=subprocess.DEVNULL) as killed:
        expected = 4 if function == "hold" else 1
        wait_for(lambda: len(survivors(tmp_path)) >= expected, "the processes of the step")
        time.sleep(1)  # the kernel compiles
        killed.send_signal(signal.SIGKILL)
    wait_for(lambda: not survivors(tmp_path), "the end of the processes of the step", 5)
    with Store.open(tmp_path / ".engine" / "test") as state, state.locks.hold("scenario all", wait=False):
        assert [run.scenario for run in state.runs.abort_dead()] == ["all"]


def test_a_forked_process_holds_no_lock_on(tmp_path: Path) -> None:
    """A user's function forks a daemon; the run ends, and the next one must not wait for the daemon."""
    with Store.open(tmp_path) as state:
        with state.locks.hold("scenario all"):
            child = os.fork()
            if child == 0:
                time.sleep(100)
                os._exit(0)
        try:
            with state.locks.hold("scenario all", wait=False) as held:
                assert held.pid == os.getpid()
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_run_without_a_timeout_tells_what_its_function_has_left(
    spec: Callable[[str], Path], module: Callable[[str], None], run: Run, tmp_path: Path
) -> None:
    module(MODULE)
    spec('scenarios: {all: {steps: [{name: it, kind: python, function: "mine:leave_session"}]}}')
    try:
        assert run().runs[0].outcome is Outcome.SUCCESS
        assert "mine:leave_session has left processes running: " in read_log(tmp_path)
    finally:
        for pid in survivors(tmp_path):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_the_command_ends_although_a_thread_does_not(
    spec: Callable[[str], Path], module: Callable[[str], None], tmp_path: Path
) -> None:
    module(MODULE)
    spec('scenarios: {all: {steps: [{name: it, kind: python, function: "mine:leave_thread"}]}}')
    told = call_engine(tmp_path, "run", "project.yaml")
    assert told.returncode == 0
    assert "all  SUCCESS" in told.stdout
    assert "threads of a function are still running: Thread-1" in told.stderr


def test_infinite_metrics_come_back_from_the_process_of_a_step(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    pl.DataFrame({"x": [1.0, float("inf")]}).write_parquet(tmp_path / "d.parquet")
    spec("""
        datasets: {d: {path: d.parquet, checks: {top: {metric: max.x, soft_max: 9}}}}
        scenarios:
          all:
            steps:
              - {name: here, kind: run_checks, target: d}
              - {name: there, kind: run_checks, target: d, timeout: 60s}
    """)
    here, there = run().runs[0].steps
    assert here.metrics["max.x"] == float("inf")
    assert there.metrics == here.metrics
    assert [check.value for check in there.checks] == [float("inf")]
