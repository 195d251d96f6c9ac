"""A run that was killed or interrupted tells somebody: at which step it was, when it had started, what it had done."""

import email
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from email import policy
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.scenarios.session import CallResult
from engine.store import Store

from ..command_line import ENGINE, call_engine

Run = Callable[..., CallResult]

SPEC = """
    variables: {who: nobody}
    datasets: {people: {path: people.parquet, checks: {enough: {metric: row_count, soft_min: 1000000}}}}
    channels: {box: {kind: file, path: box}}
    scenarios:
      nightly:
        steps:
          - {name: look, kind: run_checks, target: people}
          - {name: wait, kind: python, function: "mine:wait"TIMEOUT}
          - {name: after, kind: python, function: "mine:nothing"}
        reporters:
          - {name: always, channel: box, subject: "${scenarioName} for ${who}: ${outcome}", message: "${checksSummary}"}
          - {name: undecided, channel: box, run_condition: "metrics['row_count'] > 1000000.0", subject: undecided}
          - {name: not reached, channel: box, run_condition: "stepOutcome_after == 'FAILED'", subject: not reached}
          - {name: decided, channel: box, run_condition: "outcome == 'SUCCESS'", subject: decided}
      other:
        steps: [{name: nothing, kind: python, function: "mine:nothing"}]
      outer:
        steps: [{name: inner, kind: run_scenario, scenario: nightlyTIMEOUT}]
        reporters: [{name: outside, channel: box, subject: "outer: ${outcome}"}]
"""
MODULE = """
    import os, pathlib, time

    def wait():
        if os.fork() == 0:
            os.execlp("true", "true")
        os.wait()
        pathlib.Path("waiting").touch()
        time.sleep(100)

    def nothing():
        pass
"""


@pytest.fixture
def project(
    spec: Callable[[str], Path], module: Callable[[str], None], rows: Callable[..., Path]
) -> Callable[..., Path]:
    module(MODULE)
    rows("people.parquet")

    def write(timeout: str = "") -> Path:
        return spec(SPEC.replace("TIMEOUT", timeout)).parent

    return write


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a run, and wait until it is at the step `wait`."""
    process = subprocess.Popen(
        [ENGINE, "run", "project.yaml", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509  nohup has it ignored here
    )
    wait_for_step(folder, process)
    return process


def wait_for_step(folder: Path, process: "subprocess.Popen[str]") -> None:
    while not (folder / "waiting").exists():
        assert process.poll() is None
        time.sleep(0.05)
    (folder / "waiting").unlink()


def kill(folder: Path, *arguments: str) -> None:
    with start(folder, *arguments) as process:
        process.kill()


def read_box(folder: Path) -> dict[str, str]:
    """Return the text of each message by its subject."""
    found = {}
    for path in sorted((folder / "box").glob("*.eml")):
        mail = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        body = mail.get_body(("plain",))
        assert body is not None
        assert mail["Subject"] not in found, "each message once"
        found[str(mail["Subject"])] = " ".join(body.get_content().split())
    return found


@pytest.mark.parametrize(
    "next_command", [("run", "project.yaml", "other"), ("check", "project.yaml", "people")], ids=["run", "check"]
)
def test_the_next_command_tells_of_a_killed_run(next_command: tuple[str, ...], project: Callable[..., Path]) -> None:
    folder = project()
    kill(folder, "nightly", "--var", "who=Ann")
    assert read_box(folder) == {}
    told = call_engine(folder, *next_command)
    assert told.returncode == 0, told.stderr
    assert "was killed before it ended; it is now marked ABORTED" in told.stderr
    box = read_box(folder)
    assert set(box) == {"nightly for Ann: ABORTED", "undecided", "not reached"}
    text = box["nightly for Ann: ABORTED"]
    assert "this run never ended: it was killed or has crashed at step 'wait', which had started at 2" in text
    assert "It had started at 2" in text
    assert "Steps that it had finished: look WARNING." in text
    assert "checks: 1 WARNING" in text
    assert "step wait ABORTED: the run was killed or has crashed while it was at this step" in box["undecided"]
    call_engine(folder, *next_command)
    assert len(read_box(folder)) == 3, "told once"


def test_the_killed_run_keeps_what_is_known_of_it(project: Callable[..., Path]) -> None:
    folder = project()
    kill(folder, "nightly")
    call_engine(folder, "run", "project.yaml", "other")
    (result_file,) = [path for path in folder.glob(".engine/test/runs/*/run.json") if "nightly" in path.read_text()]
    result = json.loads(result_file.read_text())
    assert result["outcome"] == "ABORTED"
    assert [(step["name"], step["outcome"]) for step in result["steps"]] == [("look", "WARNING"), ("wait", "ABORTED")]
    assert {delivery["state"] for delivery in result["deliveries"]} <= {
        "SENT",
        "SKIPPED",
    }  # one waits for what did not happen
    assert "ABORTED: this run never ended" in (result_file.parent / "log.txt").read_text()


@pytest.mark.parametrize("timeout", ["", ", timeout: 90s"])
def test_a_killed_run_and_the_run_that_it_has_started_are_both_reported(
    timeout: str, project: Callable[..., Path]
) -> None:
    folder = project(timeout)
    kill(folder, "outer")
    call_engine(folder, "run", "project.yaml", "other")
    box = read_box(folder)
    assert set(box) == {"outer: ABORTED", "nightly for nobody: ABORTED", "undecided", "not reached"}
    assert "at step 'inner'" in box["outer: ABORTED"]


@pytest.mark.slow
def test_a_run_that_dies_with_the_process_of_its_step_is_reported_by_the_run_that_goes_on(
    project: Callable[..., Path],
) -> None:
    folder = project(", timeout: 3s")
    told = call_engine(folder, "run", "project.yaml", "outer")
    assert told.returncode == 3
    box = read_box(folder)
    assert {"outer: FAILED", "undecided"} <= set(box)
    assert "nightly for nobody: ABORTED" in box or "nightly for nobody: FAILED" in box


def test_a_scenario_that_has_left_the_spec_is_reported_as_far_as_possible(project: Callable[..., Path]) -> None:
    folder = project()
    kill(folder, "nightly")
    text = (folder / "project.yaml").read_text()
    (folder / "project.yaml").write_text(text.replace("nightly", "weekly"))
    told = call_engine(folder, "run", "project.yaml", "other")
    assert told.returncode == 0
    assert "the spec has no scenario 'nightly' any more, so its reporters are unknown" in told.stderr
    with Store.open(folder / ".engine" / "test") as state:
        assert [run.outcome for run in state.runs.history("nightly")] == [Outcome.ABORTED]


def test_an_iteration_that_never_came_leaves_a_condition_undecided(
    spec: Callable[[str], Path], module: Callable[[str], None]
) -> None:
    """The first iteration was good; whether the second would have been, nobody knows: so the message is sent."""
    module(MODULE)
    folder = spec("""
        variables: {function: nothing}
        channels: {box: {kind: file, path: box}}
        scenarios:
          nightly:
            for_each: [{function: nothing}, {function: wait}]
            steps: [{name: it, kind: python, function: "mine:${function}"}]
            reporters: [{name: failed, channel: box, run_condition: "stepOutcome_it == 'FAILED'", subject: failed}]
          other: {steps: [{name: nothing, kind: python, function: "mine:nothing"}]}
    """).parent
    kill(folder, "nightly")
    call_engine(folder, "run", "project.yaml", "other")
    assert "Steps that it had finished: it SUCCESS." in read_box(folder)["failed"]
    assert "at step 'it'" in read_box(folder)["failed"]


def test_a_preview_sends_nothing_and_leaves_the_dead_run_to_the_next_run(project: Callable[..., Path]) -> None:
    folder = project()
    kill(folder, "nightly")
    call_engine(folder, "run", "project.yaml", "other", "--preview-reporters")
    assert read_box(folder) == {}
    call_engine(folder, "run", "project.yaml", "other")
    assert len(read_box(folder)) == 3


@pytest.mark.parametrize(
    ("how", "timeout"),
    [(signal.SIGINT, ""), (signal.SIGINT, ", timeout: 90s"), (signal.SIGTERM, ", timeout: 90s"), (signal.SIGHUP, "")],
)
def test_an_interrupted_run_commits_its_messages_and_the_next_one_sends_them(
    how: signal.Signals, timeout: str, project: Callable[..., Path]
) -> None:
    folder = project(timeout)
    with start(folder, "nightly") as process:
        process.send_signal(how)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read().endswith("engine: interrupted\n")
    with Store.open(folder / ".engine" / "test") as state:
        (run,) = state.runs.history()
        assert run.outcome is Outcome.ABORTED
        assert len(state.outbox.list_undelivered(run.id)) == 2
        assert state.runs.abort_dead() == []
    call_engine(folder, "run", "project.yaml", "other")
    text = read_box(folder)["nightly for nobody: ABORTED"]
    assert f"this run was interrupted ({how.name}) at step 'wait'" in text
    assert "Steps that it had finished: look WARNING." in text


@pytest.mark.slow
def test_a_closed_terminal_aborts_the_run_but_not_under_nohup(project: Callable[..., Path], tmp_path: Path) -> None:
    """The run has the terminal for its input and output, as in a window that somebody closes."""
    folder = project()
    for ignored in (False, True):
        child, terminal = pty.fork()
        if child == 0:
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
            os.chdir(folder)
            os.execv(ENGINE, [str(ENGINE), "run", "project.yaml", "nightly"])
        os.set_blocking(terminal, False)
        deadline = time.monotonic() + 60
        while not (folder / "waiting").exists():
            assert time.monotonic() < deadline
            with suppress(OSError):
                os.read(terminal, 65536)
            time.sleep(0.05)
        (folder / "waiting").unlink()
        os.close(terminal)
        if ignored:
            time.sleep(1)
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with Store.open(tmp_path / ".engine" / "test") as state:
            assert state.runs.history("nightly")[-1].outcome is (None if ignored else Outcome.ABORTED)
            assert len(state.outbox.list_undelivered()) == 2


FAULTY = """
    import polars

    def raise_half():
        raise ValueError("half \\udcff")

    def tell_half():
        return "WARNING", "half \\udcff"

    def panic():
        raise polars.exceptions.PanicException("index out of bounds")

    def lack():
        raise MemoryError

    def lack_of_the_system():
        raise OSError(12, "Cannot allocate memory")
"""


@pytest.mark.parametrize("timeout", ["", ", timeout: 60s"])
@pytest.mark.parametrize(
    ("function", "outcome", "reason"),
    [
        ("raise_half", Outcome.FAILED, r"ValueError: half \udcff"),
        ("tell_half", Outcome.WARNING, r"half \udcff"),
        ("panic", Outcome.FAILED, "PanicException: index out of bounds"),
        ("lack", Outcome.FAILED, "not enough memory: mine:lack failed"),
        ("lack_of_the_system", Outcome.FAILED, "What to do: give this process more memory, or read fewer rows"),
    ],
)
def test_a_step_ends_and_the_run_goes_on_whatever_a_function_raises_or_says(
    function: str,
    outcome: Outcome,
    reason: str,
    timeout: str,
    spec: Callable[[str], Path],
    module: Callable[[str], None],
    run: Run,
    tmp_path: Path,
) -> None:
    module(FAULTY)
    spec(f"""
        channels: {{box: {{kind: file, path: box}}}}
        scenarios:
          all:
            steps: [{{name: it, kind: python, function: "mine:{function}"{timeout}}}]
            reporters: [{{name: r, channel: box, attach: [scenario_log]}}]
    """)
    (result,) = run().runs
    assert result.outcome is outcome
    assert reason in result.steps[0].reason
    (told,) = read_box(tmp_path).values()
    assert reason in told
    (log,) = (tmp_path / ".engine" / "test" / "runs").glob("*/log.txt")
    assert reason in log.read_text()
    assert reason in json.loads((log.parent / "run.json").read_text())["steps"][0]["reason"]


def test_halves_of_characters_everywhere_are_shown_and_end_nothing(project: Callable[..., Path]) -> None:
    """A variable that is not UTF-8 goes into the spec's names, messages, labels, conditions and into the state."""
    folder = project()
    told = subprocess.run(
        [os.fsencode(ENGINE), b"run", b"project.yaml", b"other", b"--var", b"who=Ann\xff", b"--verbose"],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert call_engine(folder, "show", "project.yaml", "--runs").returncode == 0
    (result_file,) = folder.glob(".engine/test/runs/*/run.json")
    assert json.loads(result_file.read_text())["variables"]["who"] == r"Ann\udcff"
