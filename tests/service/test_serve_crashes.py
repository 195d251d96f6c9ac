"""`engine serve` killed wherever something is half done, then started again: nothing is lost or done twice."""

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.store import FireState, Store

from .served import (
    PATIENCE,
    Served,
    describe_scenario,
    list_open,
    read_state,
    wait_until,
    write_project,
)

pytestmark = pytest.mark.slow

DATED = "variables: {at: none}\nscenarios:\n" + describe_scenario(
    "dated", "note", arguments="{at: '${at}', seconds: 0.1}"
).replace("every: 1s", "every: 3s, variables: {at: '${as_of_time}'}")
"""Each fire has values of its own, so that none is done by a later one."""

POINTS_OF_SERVER = ["after insert", "after id", "after spawn", "before mark"]
POINTS_OF_RUN = ["before lock", "after lock", "after row", "before finish", "after finish"]


def check_fires(state: Path, folder: Path) -> None:
    """Check that each fire has had one run that was not cut off, and that no step was called more often than runs."""
    fires, runs = read_state(state)
    assert len({(fire.scenario, fire.trigger, fire.key) for fire in fires}) == len(fires)
    for fire in fires:
        made = [run for run in runs if run.fire == fire.number]
        whole = [run for run in made if run.state != "ABORTED"]
        if fire.state is FireState.DONE:
            assert made, fire
            assert len(made) <= 2, (fire, made)
            assert len(whole) <= 1, (fire, made)
        elif fire.state is FireState.SKIPPED:
            assert fire.reason
            assert not whole, (fire, made)
        else:
            assert not whole, (fire, made)
    noted = Counter(line.split()[0] for line in (folder / "noted.txt").read_text().splitlines())
    runs_at = Counter(f"{run.as_of:%Y-%m-%dT%H:%M:%S}" for run in runs if run.as_of)
    assert {at: times for at, times in noted.items() if times > max(1, runs_at[at])} == {}


def end_all(state: Path, folder: Path) -> None:
    """Start a server that concludes what was begun until now, and end it."""
    last = max((fire.number for fire in list_open(state)), default=0)
    server = Served(folder, "served.yaml", "--drain", "1")
    try:
        server.wait_for("served")
        wait_until(
            lambda: all(fire.number > last for fire in list_open(state)), "fires that were open still are", server
        )
        assert server.end() == 0, server.describe()
    finally:
        server.process.kill()
        server.process.wait()


@pytest.mark.parametrize(
    ("point", "whom", "number"),
    [
        *((point, "server", number) for point in POINTS_OF_SERVER + POINTS_OF_RUN for number in ("SIGKILL", "SIGTERM")),
        *((point, "run", "SIGKILL") for point in POINTS_OF_RUN),
    ],
)
def test_after_an_end_at_any_point_each_fire_has_one_run(tmp_path: Path, point: str, whom: str, number: str) -> None:
    state = write_project(tmp_path, DATED)
    Store.open(state).close()
    server = Served(tmp_path, crash_at=f"{point}:1:{number}:{whom}")
    try:
        if whom == "server":
            code = server.process.wait(PATIENCE)
            assert code == (-signal.SIGKILL if number == "SIGKILL" else 0), server.describe()
        else:
            server.wait_for("run", 2)
            server.end(signal.SIGKILL)
    finally:
        server.process.kill()
        server.process.wait()
    assert (tmp_path / "crashes").stat().st_size >= 1
    end_all(state, tmp_path)
    check_fires(state, tmp_path)
    if whom == "run":
        _, runs = read_state(state)
        assert Counter(run.state for run in runs)["ABORTED"] <= 2


@pytest.mark.timeout(600)
def test_after_ten_kills_at_random_each_fire_has_one_run(tmp_path: Path) -> None:
    state = write_project(tmp_path, DATED)
    chance = random.Random(20261128)
    Store.open(state).close()
    for _ in range(10):
        server = Served(tmp_path)
        server.wait_for("served")
        time.sleep(chance.uniform(0.0, 3.0))
        server.end(signal.SIGKILL)
    end_all(state, tmp_path)
    check_fires(state, tmp_path)
