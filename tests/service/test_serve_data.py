"""`engine serve` as a process, with triggers that look at data."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.store import FireState, Store, TriggerState

from ..processes import is_alive, list_descendants
from ..waiting import PATIENCE
from .served import Served, list_open, read_state, wait_until, write_project

pytestmark = pytest.mark.slow

DATA = """
datasets:
  d: {path: d.csv, settle: 1s, checks: {rows: {metric: row_count, min: 0}}}
scenarios:
  s:
    triggers: [TRIGGER]
    steps: [{name: check, kind: run_checks, target: d}]
"""


QUIET = 1.5
"""Seconds in which nothing starts, where nothing should: data are looked at several times."""

QUIET_QUERIES = 4.0
"""As many seconds for queries: each is asked in a process of its own."""


def read_trigger(state: Path) -> TriggerState | None:
    with Store.open(state) as store:
        return next(iter(store.fires.list_states()), None)


def wait_until_seen(state: Path, server: Served) -> None:
    """Wait until the data have been looked at once."""
    server.wait_for("served")
    wait_until(lambda: bool((found := read_trigger(state)) and found.seen), "the data were not looked at", server)


def test_a_file_that_grows_is_run_once_when_it_is_complete(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_project(
        tmp_path, DATA.replace("TRIGGER", "{name: new, kind: dataset_changed, dataset: d, every: 200ms}")
    )
    csv = tmp_path / "d.csv"
    csv.write_text("a\n")
    server = serve()
    wait_until_seen(state, server)
    for row in range(30):
        with csv.open("a") as file:
            file.write(f"{row}\n")
        time.sleep(0.1)
    wait_until(lambda: len(read_state(state)[1]) == 1 and not list_open(state), "no run has ended", server)
    csv.touch()
    time.sleep(QUIET)
    assert server.end() == 0
    csv.write_text("a\n1\n")  # while no server looks
    server = serve()
    wait_until(lambda: len(read_state(state)[1]) == 2 and not list_open(state), "no second run has ended", server)
    time.sleep(QUIET)
    assert server.end() == 0
    fires, runs = read_state(state)
    assert [(fire.trigger, fire.changed, fire.state) for fire in fires] == [("new", ("d",), FireState.DONE)] * 2
    assert [(run.trigger, run.outcome) for run in runs] == [("new", Outcome.SUCCESS)] * 2
    with Store.open(state) as store:
        values = [one.metrics["row_count"].value for one in store.measurements.history("d")]
    assert values == [30, 1]


def test_another_result_of_a_query_starts_a_run(serve: Callable[..., Served], tmp_path: Path) -> None:
    trigger = "{name: day, kind: query_changed, sql: SELECT MAX(a) AS last FROM d, every: 200ms}"
    state = write_project(tmp_path, DATA.replace("TRIGGER", trigger))
    csv = tmp_path / "d.csv"
    csv.write_text("a\n1\n")
    server = serve()
    wait_until_seen(state, server)
    csv.write_text("a\n1\n0\n")
    time.sleep(QUIET_QUERIES)
    assert read_state(state)[0] == []
    csv.write_text("a\n2\n0\n")
    wait_until(lambda: len(read_state(state)[1]) == 1 and not list_open(state), "no run has ended", server)
    assert server.end() == 0
    (fire,), (run,) = read_state(state)
    assert (fire.state, fire.changed, run.outcome) == (FireState.DONE, ("d",), Outcome.SUCCESS)


def test_a_query_that_cannot_be_computed_is_reported_and_its_end_is(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    trigger = "{name: day, kind: query_changed, sql: SELECT MAX(b) AS last FROM d, every: 200ms}"
    write_project(tmp_path, DATA.replace("TRIGGER", trigger))
    csv = tmp_path / "d.csv"
    csv.write_text("a\n1\n")
    server = serve()
    told = server.wait_for("trigger")["text"]
    assert told.startswith("served: trigger 'day' of 's' cannot be evaluated: ")
    assert "'b'" in told
    assert server.end() == 0
    server = serve()  # what begins with the fault tells it as well
    assert server.wait_for("trigger")["text"] == told
    csv.write_text("b\n1\n")
    assert server.wait_for("trigger", 2)["text"] == "served: trigger 'day' of 's' can be evaluated again"
    assert server.end() == 0
    assert len(server.list_told("trigger")) == 2


def test_a_scenario_that_writes_what_it_reads_is_stopped_and_reported(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    spec = DATA.replace("TRIGGER", "{name: new, kind: dataset_changed, dataset: d, every: 200ms}")
    spec = spec.replace("{name: check, kind: run_checks, target: d}", '{name: w, kind: python, function: "loop:write"}')
    state = write_project(tmp_path, spec.replace("settle: 1s", "settle: 200ms"))
    (tmp_path / "loop.py").write_text(
        "from pathlib import Path\n\n"
        "def write():\n"
        "    path = Path(__file__).with_name('d.csv')\n"
        "    path.write_text(path.read_text() + '1\\n')\n"
    )
    csv = tmp_path / "d.csv"
    csv.write_text("a\n")
    server = serve()
    wait_until_seen(state, server)
    csv.write_text("a\n1\n")
    wait_until(lambda: bool((found := read_trigger(state)) and found.error), "it was not stopped", server, 4 * PATIENCE)
    found = read_trigger(state)
    assert found is not None
    assert str(found.error).startswith("5 runs in a row were started by a file that changed only during")
    assert "d.csv" in str(found.error)
    time.sleep(QUIET)
    assert len(read_state(state)[1]) == 6
    assert server.end() == 0


def test_a_query_that_hangs_ends_with_a_server_that_is_killed(serve: Callable[..., Served], tmp_path: Path) -> None:
    spec = DATA.replace("TRIGGER", "{name: q, kind: query_changed, sql: SELECT a FROM slow, every: 200ms}")
    spec = spec.replace("datasets:", 'datasets:\n  slow: {kind: python, function: "mine:spin"}')
    write_project(tmp_path, spec)
    (tmp_path / "d.csv").write_text("a\n1\n")
    server = serve()
    wait_until((tmp_path / "noted.txt").exists, "the query was not asked", server)
    children = list_descendants(server.process.pid)
    assert len(children) == 2
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not any(map(is_alive, children)), "a process is left", seconds=5.0)
