"""`engine serve` as a process: what it runs and what it says."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest

import engine
from engine.outcome import Outcome
from engine.store import FireState, Store, utc_now

from ..command_line import call_engine
from ..waiting import PATIENCE
from .served import TOKEN, Served, describe_scenario, read_state, wait_until, write_project
from .served_scenarios import ask_for_run, write_scenarios

pytestmark = pytest.mark.slow


def test_an_interval_starts_runs_of_its_times(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "note", every="3s"))
    server = serve()
    server.wait_for("run", 3)
    assert server.end() == 0
    fires, runs = read_state(state)
    done = [fire for fire in fires if fire.state is FireState.DONE]
    by_id = {run.id: run for run in runs}
    assert len(done) >= 3
    for fire in done:
        run = by_id[str(fire.run)]
        assert (run.fire, run.trigger, run.outcome) == (fire.number, "timer", Outcome.SUCCESS)
        assert run.as_of == fire.scheduled
    digests = {run.spec for run in runs}
    assert len(digests) == 1
    assert None not in digests


def read_status(pid: int) -> dict[str, str]:
    """Return what the system tells of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


WITH_SQL = """
datasets:
  orders: {path: orders.csv}
  large: {kind: query, sql: "SELECT id, amount FROM orders WHERE amount > 10"}
connections: {warehouse: {kind: duckdb, path: warehouse.duckdb}}
evaluation_stores:
  few: {dataset: large, reference: {kind: dataset, dataset: orders}, segments: [{name: small, where: "amount < 20"}]}
"""


def test_the_server_stays_small_and_leaves_nothing_behind(serve: Callable[..., Served], tmp_path: Path) -> None:
    """A parser of SQL would take 10 MB: that of a spec which nobody has read before is parsed by another process."""
    statements = '  by hand: {steps: [{name: d, kind: sql, connection: warehouse, statements: ["DELETE FROM old"]}]}\n'
    write_scenarios(tmp_path, describe_scenario("s", "note"), statements, before=WITH_SQL)
    server = serve(environ={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    server.wait_for("run", 1)

    def measure() -> tuple[int, int, int]:
        status = read_status(server.process.pid)
        files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        return int(status["VmRSS"].split()[0]) // 1024, int(status["Threads"]), files

    before = measure()
    server.wait_for("run", 6)
    after = measure()
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert [name for name in ("polars", "numba", "sklearn", "scipy", "alembic") if f"/{name}" in mapped] == []
    assert after[0] < 80
    assert after[0] - before[0] <= 5
    assert after[1] <= before[1] + 2
    assert after[2] <= before[2] + 8
    children = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    zombies = [line for line in children if line.rpartition(")")[2].split()[:2] == ["Z", str(server.process.pid)]]
    assert zombies == []
    assert server.end() == 0


def test_what_the_server_has_done_with_takes_no_memory(serve: Callable[..., Served], tmp_path: Path) -> None:
    write_scenarios(tmp_path, describe_scenario("s", "note", every="1h"))
    server = serve()
    url = server.wait_for("listening")["url"]
    server.wait_for("served")
    with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE) as client:

        def ask(times: int) -> int:
            """Let the server read its state so often; return its memory in kB."""
            for _ in range(times):
                assert client.get("/metrics").status_code == 200
            return int(read_status(server.process.pid)["VmRSS"].split()[0])

        before = ask(100)
        assert ask(200) - before < 2500  # each leaves 27 kB that refer to one another, until they are collected
    assert server.end() == 0


def test_a_run_by_hand_makes_the_fire_wait_and_not_a_process(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "hold", every="2s"))
    by_hand = subprocess.Popen([sys.executable, "-m", "engine", "run", "served.yaml", "s"], cwd=tmp_path)
    wait_until((tmp_path / "noted.txt").exists, "the run by hand has not begun")
    server = serve()
    told = server.wait_for("waits")
    assert "busy" in told["text"]
    (tmp_path / "go").touch()
    assert by_hand.wait() == 0
    wait_until(lambda: len(read_state(state)[1]) == 2, "the fire has no run", server)
    server.end(signal.SIGKILL)
    fires, runs = read_state(state)
    begun = next(fire for fire in fires if fire.run == runs[1].id)
    assert [run.fire for run in runs] == [None, begun.number]


def test_reloading_takes_what_is_valid_and_keeps_the_last_good_otherwise(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "note", every="2s"))
    server = serve("served.yaml", "--reload")
    server.wait_for("run")
    spec = tmp_path / "served.yaml"
    good = spec.read_text()
    spec.write_text(good.replace("steps:", "stepps:"))
    server.wait_for("invalid spec", holds=lambda one: "of its last valid content" in one["text"])
    server.wait_for("skipped")
    spec.write_text(good.replace("timer", "other").replace("every: 2s", "every: 3s"))
    server.wait_for("valid spec")
    server.wait_for("run", holds=lambda one: one["trigger"] == "other")
    spec.write_text(good)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("run", 2, holds=lambda one: one["trigger"] == "timer")
    assert server.end() == 0
    skipped = [fire for fire in read_state(state)[0] if fire.state is FireState.SKIPPED]
    assert {fire.reason.partition(":")[0] for fire in skipped} <= {"invalid spec", "superseded"}
    assert any("stepps" in fire.reason for fire in skipped)


def test_a_folder_is_served_with_what_becomes_valid(serve: Callable[..., Served], tmp_path: Path) -> None:
    write_project(
        tmp_path, "version: 1\nproject: one\nscenarios:\n" + describe_scenario("a", "note", every="2s"), "one.yaml"
    )
    write_project(
        tmp_path, "version: 1\nproject: two\nscenarios:\n" + describe_scenario("b", "note", every="2s"), "two.yaml"
    )
    (tmp_path / "part.yaml").write_text("datasets: {}\n")
    good = (tmp_path / "two.yaml").read_text()
    (tmp_path / "two.yaml").write_text(good.replace("steps:", "stepps:"))
    server = serve(".", "--reload")
    server.wait_for("invalid spec", holds=lambda one: "two.yaml" in one["text"])
    server.wait_for("run", holds=lambda one: one["project"] == "one")
    (tmp_path / "two.yaml").write_text(good)
    server.wait_for("run", holds=lambda one: one["project"] == "two")
    assert server.end() == 0


def test_a_paused_scenario_is_skipped_and_resuming_runs_nothing_of_the_past(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "note", every="2s"))
    server = serve()
    server.wait_for("run")
    assert call_engine(tmp_path, "pause", "served.yaml", "s", "--reason", "a holiday").returncode == 0
    server.wait_for("skipped", 3)
    before = utc_now()
    assert call_engine(tmp_path, "resume", "served.yaml", "s").returncode == 0
    count = len(server.list_told("run"))
    server.wait_for("run", count + 1, holds=lambda _: True)
    assert server.end() == 0
    fires, _ = read_state(state)
    skipped = [fire for fire in fires if fire.state is FireState.SKIPPED]
    assert len(skipped) >= 3
    assert all("paused by" in fire.reason and "a holiday" in fire.reason for fire in skipped)
    later = [fire for fire in fires if fire.state is FireState.DONE and fire.number > skipped[-1].number]
    assert all(fire.scheduled > before for fire in later)


def test_a_run_that_takes_longer_than_its_timeout_is_aborted_once(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "ignore", every=None, more="timeout: 2s"))
    Store.open(state).close()
    ask_for_run(state, "s")
    server = serve()
    assert server.wait_for("run")["outcome"] == "ABORTED"
    assert server.end() == 0
    fires, runs = read_state(state)
    assert (fires[0].state, fires[0].attempt, len(runs)) == (FireState.DONE, 1, 1)


def test_what_follows_from_what_follows_ends_after_ten_runs(serve: Callable[..., Served], tmp_path: Path) -> None:
    names = [f"s{number:02}" for number in range(13)]
    scenarios = [describe_scenario(names[0], "note", every=None)]
    for before, name in pairwise(names):
        scenarios.append(
            describe_scenario(name, "note", every=None).replace(
                "triggers: []", f"triggers: [{{name: next, kind: scenario_finished, scenario: {before}}}]"
            )
        )
    state = write_scenarios(tmp_path, *scenarios)
    Store.open(state).close()
    server = serve()
    server.wait_for("served")
    server.end()
    ask_for_run(state, names[0])
    server = serve()
    server.wait_for("skipped", holds=lambda one: "chain" in one["text"], seconds=4 * PATIENCE)
    assert server.end() == 0
    _, runs = read_state(state)
    assert [run.scenario for run in runs] == names[:11]


def test_a_state_of_another_server_and_a_missing_spec_are_reported(tmp_path: Path) -> None:
    found = call_engine(tmp_path, "serve", "nowhere.yaml")
    assert (found.returncode, found.stderr) == (2, "engine: error: nowhere.yaml does not exist\n")
    (tmp_path / "empty").mkdir()
    found = call_engine(tmp_path, "serve", "empty")
    assert found.returncode == 2
    assert "holds no spec" in found.stderr


def test_a_server_whose_code_was_replaced_starts_itself_again(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "note", every="3s"))
    shutil.copytree(Path(engine.__file__).parent, tmp_path / "installed" / "engine")
    server = serve(environ={"PYTHONPATH": str(tmp_path / "installed")})
    server.wait_for("run")
    version = tmp_path / "installed" / "engine" / "__init__.py"
    version.write_text(version.read_text().replace(engine.__version__, f"{engine.__version__}.1"))
    server.wait_for("started", 2)
    count = len(server.list_told("run"))
    server.wait_for("run", count + 1)
    assert server.end() == 0
    fires, runs = read_state(state)
    assert {run.outcome for run in runs} == {Outcome.SUCCESS}
    assert len({run.fire for run in runs}) == len(runs)
    assert not [fire for fire in fires if fire.state is FireState.SKIPPED]
