"""A whole run in a process of its own: it has the id that it was given, and its code is loaded there alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.pipeline.log import LogLine
from engine.scenarios import process
from engine.scenarios.process import Conversation, RunProcess, run_in_process
from engine.scenarios.requests import LoadRequest, RunRequest
from engine.scenarios.run_reasons import ChangedPart
from engine.store import Store, generate_id

from ..mailboxes import read_sent
from ..waiting import wait_for

MODULE = """
    import os, pathlib, signal

    def note():
        pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
        return "WARNING", "the password is " + os.environ["PASSWORD"]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)
"""
SPEC = """
    variables: {month: "2026-01"}
    secrets: {password: {env: PASSWORD}}
    channels: {box: {kind: file, path: told}}
    scenarios:
      nightly:
        triggers: [{name: cron, cron: "30 4 * * *"}]
        steps:
          - {name: it, kind: python, function: "mine:FUNCTION"}
          - {name: by clock, kind: set_variables, variables: {month: "${month}-01"}, run_condition: "trigger == 'cron'"}
        reporters:
          - {name: tell, channel: box, message: "${outcome} of ${month} by ${trigger}"}
"""


@pytest.fixture
def request_run(
    spec: Callable[[str], Path], module: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Conversation]:
    """Ask for a run of the function `mine:…` in a process, which may take its time to end."""
    monkeypatch.setattr(process, "EXIT_LIMIT", 20.0)
    module(MODULE)

    def request(function: str, run: str, *, lines: list[LogLine]) -> Conversation:
        path = spec(SPEC.replace("FUNCTION", function))
        asked = RunRequest(spec=path, variables={"month": "2026-02"}, scenarios=("nightly",), run=run, trigger="cron")
        return run_in_process(asked, {**os.environ, "PASSWORD": "open sesame"}, pass_on=lines.append)

    return request


def open_state(folder: Path) -> Store:
    return Store.open(next(path.parent for path in folder.rglob("state.db")))


def test_a_requested_run_has_its_id_its_trigger_and_its_values(
    request_run: Callable[..., Conversation], tmp_path: Path
) -> None:
    run, lines = generate_id(datetime.now(UTC)), list[LogLine]()
    told = request_run("note", run, lines=lines)
    assert len(told.runs) == 1
    assert (told.runs[0].id, told.runs[0].outcome, told.runs[0].trigger, told.code) == (run, Outcome.WARNING, "cron", 0)
    assert [step.outcome for step in told.runs[0].steps] == [Outcome.WARNING, Outcome.SUCCESS]
    assert told.runs[0].steps[1].variables == {"month": "2026-02-01"}
    with open_state(tmp_path) as store:
        assert store.runs.get(run).outcome is Outcome.WARNING
    assert "WARNING of 2026-02-01 by cron" in read_sent(tmp_path / "told")
    assert next(line.text for line in lines if line.step == "it") == "started"
    assert int((tmp_path / "pid").read_text()) != os.getpid()


def test_secrets_stay_in_the_process_of_the_run(request_run: Callable[..., Conversation], tmp_path: Path) -> None:
    lines: list[LogLine] = []
    told = request_run("note", generate_id(datetime.now(UTC)), lines=lines)
    assert len(told.runs) == 1
    assert told.runs[0].steps[0].reason == "the password is ***"
    assert "open sesame" not in json.dumps([line.text for line in lines]) + told.runs[0].model_dump_json()


def test_a_run_whose_process_is_killed_is_reported_by_the_next_run(
    request_run: Callable[..., Conversation], tmp_path: Path
) -> None:
    run = generate_id(datetime.now(UTC))
    told = request_run("die", run, lines=[])
    assert told.runs == []
    assert "killed by signal 9 (SIGKILL)" in told.describe_failure()
    with open_state(tmp_path) as store:
        assert store.runs.get(run).outcome is None
    assert request_run("note", generate_id(datetime.now(UTC)), lines=[]).runs != []
    with open_state(tmp_path) as store:
        assert store.runs.get(run).outcome is Outcome.ABORTED
    assert "ABORTED of 2026-02 by cron" in read_sent(tmp_path / "told")


def test_why_a_run_cannot_begin_is_replied(request_run: Callable[..., Conversation], tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("version: 1\nproject: p\nscenarios: {nightly: {steps: [{kind: bild}]}}\n")
    asked = RunRequest(spec=path, variables={}, scenarios=("nightly",), run="r")
    told = run_in_process(asked, os.environ, pass_on=print)
    assert told.runs == []
    assert "broken.yaml:3:" in told.describe_failure()
    assert "bild" in told.describe_failure()


def test_a_program_that_starts_runs_loads_no_data_library() -> None:
    code = "import sys, engine.scenarios.process; print(sorted({'polars', 'numba', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_a_process_started_before_it_is_needed_loads_what_the_last_one_has_needed(
    spec: Callable[[str], Path], rows: Callable[..., Path]
) -> None:
    rows("old.parquet", 3000)
    rows("new.parquet", 3000, seed=1, shift=3)
    path = spec("""
        datasets: {old: {path: old.parquet}, new: {path: new.parquet}}
        evaluation_stores:
          drift: {dataset: new, reference: {kind: dataset, dataset: old}, checks: {c: {metric: data_drift, max: 0.5}}}
    """)

    def request(*changed: ChangedPart) -> RunRequest:
        return RunRequest(spec=path, variables={}, changed=changed)

    with RunProcess(os.environ) as process:
        first = process.execute(request(), pass_on=lambda _: None)
    assert first.call is not None
    assert [run.outcome for run in first.runs] == [Outcome.FAILED]
    assert "engine.drift.comparison" in first.call.modules
    load = LoadRequest(modules=(*first.call.modules, "no_such_module"), kernels=first.call.kernels)
    # nothing has changed, then the spec
    for changed, runs in (((), 0), (("data",), 0), (("spec",), 1)):
        with RunProcess(os.environ, load) as process:
            assert process.is_waiting
            again = process.execute(request(*changed), pass_on=lambda _: None)
        assert len(again.runs) == runs
        assert again.call is not None
        assert set(again.call.modules) >= set(first.call.modules)
        assert set(again.call.kernels) == set(first.call.kernels)
    (path.parent / "new.parquet").unlink()
    with RunProcess(os.environ) as process:
        missing = process.execute(request("data"), pass_on=lambda _: None)
    assert (missing.runs, missing.call is not None and "there is no file" in missing.call.problems[0]) == ([], True)


def test_a_process_that_nobody_needs_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "from engine.scenarios.process import RunProcess\n"
        "process = RunProcess(os.environ)\n"
        "print(process._supervisor.pid, flush=True)\n"
        "time.sleep(1)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    supervisor = Path("/proc", done.stdout.strip())
    wait_for(lambda: not supervisor.exists(), "the end of the supervisor", 30)
