"""`engine serve` and its runs when one of them is stopped or killed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from engine.outcome import Outcome
from engine.store import FireState, Store

from ..processes import is_alive, list_descendants
from ..waiting import PATIENCE
from .served import TOKEN, Served, describe_scenario, read_state, wait_until
from .served_scenarios import ask_for_run, write_scenarios

pytestmark = pytest.mark.slow

GROUPS = Path("/sys/fs/cgroup/memory")


@pytest.mark.parametrize("call", ["spin", "ignore"])
def test_a_killed_server_leaves_no_process_of_a_run(serve: Callable[..., Served], tmp_path: Path, call: str) -> None:
    write_scenarios(tmp_path, describe_scenario("s", call))
    server = serve()
    wait_until((tmp_path / "noted.txt").exists, "no run has begun", server)
    processes = list_descendants(server.process.pid)
    assert len(processes) >= 2
    server.end(signal.SIGKILL)
    time.sleep(1.0)
    assert [pid for pid in processes if is_alive(pid)] == []


def test_a_server_that_ends_in_order_ends_in_half_a_minute_whatever_runs(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    state = write_scenarios(
        tmp_path,
        *(describe_scenario(f"spins{number}", "spin") for number in range(2)),
        *(describe_scenario(f"ignores{number}", "ignore") for number in range(2)),
    )
    server = serve("served.yaml", "--at-once", "4")
    wait_until(
        lambda: (tmp_path / "noted.txt").exists() and (tmp_path / "noted.txt").read_text().count("\n") == 4,
        "the runs have not begun",
        server,
    )
    processes = list_descendants(server.process.pid)
    address = f"{server.wait_for('listening')['url']}/p/served/runs/{read_state(state)[1][0].id}/log?after=0"
    asked = {"authorization": f"Bearer {TOKEN}"}
    with httpx2.stream("GET", address, headers=asked, timeout=PATIENCE) as stream:  # somebody looks on
        assert stream.status_code == 200
        began = time.monotonic()
        assert server.end(signal.SIGTERM) == 0
        assert 15 < time.monotonic() - began < 30
    assert [pid for pid in processes if is_alive(pid)] == []
    fires, runs = read_state(state)
    of = {run.scenario: run for run in runs}
    for name in ("spins0", "spins1"):
        assert of[name].outcome is Outcome.ABORTED
        assert any("the server was ended" in event.what for event in of[name].events)
    again = [fire for fire in fires if fire.scenario.startswith("spins") and fire.attempt == 2]
    assert {fire.state for fire in again} == {FireState.WAITING}


def test_a_second_signal_kills_runs_at_once(serve: Callable[..., Served], tmp_path: Path) -> None:
    write_scenarios(tmp_path, describe_scenario("s", "ignore"))
    server = serve()
    wait_until((tmp_path / "noted.txt").exists, "no run has begun", server)
    processes = list_descendants(server.process.pid)
    began = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    server.wait_for("draining")
    assert server.end(signal.SIGINT) == 0
    assert time.monotonic() - began < 10
    assert [pid for pid in processes if is_alive(pid)] == []


def test_a_run_that_a_killed_server_has_begun_is_reported_and_made_once_more(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    reporter = "reporters: [{name: tell, channel: files, run_condition: outcome == 'ABORTED'}]"
    state = write_scenarios(
        tmp_path,
        describe_scenario("s", "note", every="1h", arguments="{seconds: 3.0}", more=reporter),
        before="channels: {files: {kind: file, path: told}}\n",
    )
    Store.open(state).close()
    ask_for_run(state, "s")
    server = serve()
    wait_until((tmp_path / "noted.txt").exists, "no run has begun", server)
    server.end(signal.SIGKILL)
    server = serve()
    server.wait_for("run")
    wait_until(lambda: any((tmp_path / "told").glob("*")), "nobody was told", server)
    assert server.end() == 0
    fires, runs = read_state(state)
    assert [run.outcome for run in runs if run.fire == fires[0].number] == [Outcome.ABORTED, Outcome.SUCCESS]
    assert (fires[0].state, fires[0].attempt) == (FireState.DONE, 2)


def test_the_standby_takes_over_when_the_leader_is_killed(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "note"))
    leader = serve()
    leader.wait_for("served")
    standby = serve()
    standby.wait_for("standby")
    leader.wait_for("run", 2)
    assert standby.list_told("run") == []
    leader.end(signal.SIGKILL)
    began = time.monotonic()
    standby.wait_for("served")
    assert time.monotonic() - began < 2.0
    standby.wait_for("run", 2)
    assert standby.end() == 0
    fires, runs = read_state(state)
    for fire in fires:
        assert sum(run.fire == fire.number and run.outcome is Outcome.SUCCESS for run in runs) <= 1


def test_a_run_whose_process_dies_is_reported_with_the_cause_and_not_made_again(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    state = write_scenarios(
        tmp_path,
        describe_scenario(
            "s",
            "fall",
            every=None,
            arguments="{number: 11}",
            more="reporters: [{name: tell, channel: files, run_condition: outcome == 'ABORTED'}]",
        ),
        before="channels: {files: {kind: file, path: told}}\n",
    )
    Store.open(state).close()
    ask_for_run(state, "s")
    server = serve()
    told = server.wait_for("run")
    assert told["outcome"] == "ABORTED"
    assert "signal 11" in told["text"]
    wait_until(lambda: any((tmp_path / "told").glob("*")), "nobody was told", server)
    assert server.end() == 0
    fires, runs = read_state(state)
    assert (fires[0].state, fires[0].attempt, len(runs)) == (FireState.DONE, 1, 1)
    assert "signal 11" in fires[0].reason
    message = next((tmp_path / "told").glob("*")).read_text()
    assert "signal 11" in message


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A memory cgroup of 700 MB."""
    group = GROUPS / f"engine-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as problem:
        pytest.skip(f"a memory cgroup cannot be made here: {problem}")
    try:
        (group / "memory.limit_in_bytes").write_text(str(700 << 20))
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text().split(), "processes are left in the group")
        group.rmdir()


def test_a_run_that_eats_all_memory_is_ended_and_the_server_lives(
    serve: Callable[..., Served], tmp_path: Path, memory_group: Path
) -> None:
    state = write_scenarios(tmp_path, describe_scenario("s", "take", every=None, arguments="{megabytes: 4000}"))
    Store.open(state).close()
    ask_for_run(state, "s")
    enter = ["sh", "-c", f'echo $$ > {memory_group / "cgroup.procs"}; exec "$@"', "sh"]
    server = serve(before=enter)
    told = server.wait_for("run")
    assert told["outcome"] == "ABORTED"
    assert "out of memory" in told["text"]
    assert server.process.poll() is None
    assert server.end() == 0
    _, runs = read_state(state)
    assert [run.outcome for run in runs] == [Outcome.ABORTED]
