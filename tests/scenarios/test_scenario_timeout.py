"""`timeout:` of a scenario: the run ends in time whatever its steps do, as ABORTED, and people are told."""

import email
import email.policy
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.scenarios.session import CallResult
from engine.store import Store

from ..command_line import call_engine
from ..processes import is_alive

Run = Callable[..., CallResult]

MODULE = """
    import os, pathlib, subprocess, time

    HERE = pathlib.Path(__file__).parent

    def note():
        (HERE / "pids").open("a").write(f"{os.getpid()}\\n")

    def quick():
        return "done"

    def sleep():
        note()
        time.sleep(100)

    def hold():
        if os.fork() == 0:
            os.setsid()
        note()
        time.sleep(100)

    def spin():
        note()
        import numba

        @numba.njit
        def turn():
            count = 0
            while count >= 0:
                count = (count + 1) & 1023
            return count

        turn()

    def stubborn():
        note()
        while True:
            try:
                time.sleep(100)
            except BaseException:
                pass

    def sleep_at(x):
        time.sleep(100 if x == 2 else 0)

    def fail():
        raise ValueError("not today")
"""

SPEC = """
    channels: {out: {kind: file, path: outbox}}
    scenarios:
      all:
        timeout: %s
        steps:
          - {name: first, kind: python, function: "mine:quick"}
          - {name: second, kind: python, function: "mine:%s"}
          - {name: third, kind: python, function: "mine:quick", run_condition: always}
        reporters:
          - {name: told, channel: out, run_condition: outcome == 'ABORTED'}
          - {name: silent, channel: out, run_condition: outcome == 'FAILED'}
"""


@pytest.fixture
def given(spec: Callable[[str], Path], module: Callable[[str], None]) -> Callable[..., Path]:
    def given(function: str, timeout: str = "4s") -> Path:
        module(MODULE)
        return spec(SPEC % (timeout, function))

    return given


def survivors(folder: Path) -> list[int]:
    """Return the processes of the steps that are still alive; at least one must have been started."""
    return [pid for pid in map(int, (folder / "pids").read_text().split()) if is_alive(pid)]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "seconds"), [("sleep", 8), ("hold", 8), ("spin", 20), ("stubborn", 8)])
def test_a_run_that_takes_too_long_is_stopped_with_all_its_processes(
    function: str, seconds: int, given: Callable[..., Path], tmp_path: Path
) -> None:
    path = given(function, f"{seconds}s")
    begun = time.monotonic()
    done = call_engine(tmp_path, "run", path, "--format", "json")
    assert seconds <= time.monotonic() - begun < seconds + 15
    assert done.returncode == 3, done.stderr
    assert survivors(tmp_path) == []
    (result,) = json.loads(done.stdout)["runs"]
    assert result["outcome"] == "ABORTED"
    assert [(step["name"], step["outcome"]) for step in result["steps"]] == [
        ("first", "SUCCESS"),
        ("second", "ABORTED"),
    ]
    reason = f"the run took longer than its timeout of {seconds}s and was stopped at this step"
    assert result["steps"][1]["reason"] == reason
    told = f"this run took longer than its timeout of {seconds}s and was stopped at step 'second'"
    assert told in done.stderr
    (letter,) = (tmp_path / "outbox").iterdir()
    body = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default).get_body(("plain",))
    assert body is not None
    assert told in " ".join(body.get_content().split())
    assert "Steps that it had finished: first SUCCESS." in done.stderr


@pytest.mark.slow
def test_the_locks_are_free_and_the_end_is_recorded(given: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    given("sleep")
    (first,) = run().runs
    assert first.outcome is Outcome.ABORTED
    given("quick", "60s")
    (second,) = run().runs
    assert second.outcome is Outcome.SUCCESS
    with Store.open(tmp_path / ".engine" / "test") as store:
        records = store.runs.history()
        assert [record.outcome for record in records] == [Outcome.ABORTED, Outcome.SUCCESS]
        assert records[0].ended is not None
        assert (records[0].ended - records[0].started).total_seconds() < 15
        assert [end.outcome for end in store.run_ends.list_after(0)] == [Outcome.ABORTED, Outcome.SUCCESS]


@pytest.mark.slow
def test_a_run_within_its_time_is_as_without_a_timeout(given: Callable[..., Path], run: Run) -> None:
    given("quick", "60s")
    (result,) = run().runs
    assert [(step.name, step.outcome, step.reason) for step in result.steps] == [
        ("first", Outcome.SUCCESS, "done"),
        ("second", Outcome.SUCCESS, "done"),
        ("third", Outcome.SUCCESS, "done"),
    ]


@pytest.mark.slow
def test_retries_and_their_pauses_and_iterations_are_within_the_time(
    spec: Callable[[str], Path], module: Callable[[str], None], run: Run
) -> None:
    module(MODULE)
    spec("""
        variables: {x: 1}
        scenarios:
          retried:
            timeout: 4s
            steps: [{name: it, kind: python, function: "mine:fail", retries: {count: 50, delay: 60s}, on_failure: warn}]
          repeated:
            timeout: 6s
            for_each: [{x: 1}, {x: 2}, {x: 3}]
            steps: [{name: it, kind: python, function: "mine:sleep_at", arguments: {x: "${x}"}}]
        run: retried
    """)
    begun = time.monotonic()
    (retried,) = run("retried").runs
    assert time.monotonic() - begun < 15
    assert [step.outcome for step in retried.steps] == [Outcome.ABORTED]
    assert retried.outcome is Outcome.ABORTED
    (repeated,) = run("repeated").runs
    assert [(step.turn, step.outcome) for step in repeated.steps] == [
        ({"x": 1}, Outcome.SUCCESS),
        ({"x": 2}, Outcome.ABORTED),
    ]


@pytest.mark.slow
def test_a_child_run_has_its_own_timeout_and_its_parent_goes_on_as_after_a_failure(
    spec: Callable[[str], Path], module: Callable[[str], None], run: Run
) -> None:
    module(MODULE)
    spec("""
        scenarios:
          parent:
            steps:
              - {name: child, kind: run_scenario, scenario: child}
              - {name: later, kind: python, function: "mine:quick"}
              - {name: in any case, kind: python, function: "mine:quick", run_condition: always}
          child:
            timeout: 4s
            steps: [{name: it, kind: python, function: "mine:sleep"}]
        run: parent
    """)
    (result,) = run().runs
    assert result.outcome is Outcome.FAILED
    child, later, always = result.steps
    assert child.cause == "failure"
    assert child.reason == "of 'child', the run took longer than its timeout of 4s and was stopped at this step"
    assert child.run is not None
    assert child.run.outcome is Outcome.ABORTED
    assert (later.outcome, always.outcome) == (Outcome.SKIPPED, Outcome.SUCCESS)


@pytest.mark.slow
def test_a_child_run_ends_with_the_time_of_its_parent(
    spec: Callable[[str], Path], module: Callable[[str], None], run: Run, tmp_path: Path
) -> None:
    module(MODULE)
    spec("""
        scenarios:
          parent:
            timeout: 8s
            steps: [{name: child, kind: run_scenario, scenario: child}]
          child:
            steps: [{name: it, kind: python, function: "mine:hold"}]
            reporters: [{name: told, channel: out}]
        channels: {out: {kind: file, path: outbox}}
        run: parent
    """)
    (result,) = run().runs
    assert result.outcome is Outcome.ABORTED
    assert survivors(tmp_path) == []
    with Store.open(tmp_path / ".engine" / "test") as store:
        assert {record.scenario: record.outcome for record in store.runs.history()} == {
            "parent": Outcome.ABORTED,
            "child": Outcome.ABORTED,
        }
    (letter,) = (tmp_path / "outbox").iterdir()
    body = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default).get_body(("plain",))
    assert body is not None
    text = " ".join(body.get_content().split())
    cause = "the run of 'parent' that has started it took longer than its timeout of 8s and was stopped"
    assert f"this run never ended: {cause} at step 'it'" in text
    assert "killed" not in text


@pytest.mark.slow
def test_the_shorter_one_of_two_timeouts_counts(
    spec: Callable[[str], Path], module: Callable[[str], None], run: Run
) -> None:
    module(MODULE)
    spec("""
        scenarios:
          all:
            timeout: 60s
            steps: [{name: it, kind: python, function: "mine:sleep", timeout: 1s}]
    """)
    (result,) = run().runs
    assert (result.outcome, result.steps[0].reason) == (
        Outcome.FAILED,
        "it took longer than its timeout of 1 s and was stopped",
    )
