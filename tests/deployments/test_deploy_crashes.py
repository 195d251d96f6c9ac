"""An update that is killed wherever it is: the next one concludes it, and there is one active revision at any time."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.service.deployments.deploying import deploy_bundle
from engine.service.deployments.directory_target import conclude_directory
from engine.spec import load
from engine.store.node import Node, OperationState

from ..processes import is_alive, list_descendants
from ..service.served import wait_until
from ..small_disks import fill_disk, mount_small_disk
from .deployed import HOOK, check_infrastructure, make_bundle, make_project, write_spec

PROGRAM = Path(__file__).with_name("crashing_deploy.py")
BEFORE = ("REQUESTED", "RECEIVED", "VERIFIED", "LAID_DOWN", "PRELOADED", "models set")
AFTER = ("moved", "ACTIVE")


def run_deploy(spec: Path, bundle: str, point: str = "never", *, seconds: float | None = None) -> int:
    """Deploy in a process that kills itself at a point, or is killed so long after it has loaded; return its code."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(spec), bundle, point], stdout=subprocess.PIPE, cwd=spec.parent
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        if seconds is not None:
            time.sleep(seconds)
            process.kill()
        return process.wait()


def conclude(folder: Path) -> tuple[int | None, list[OperationState]]:
    conclude_directory(folder / "automation", os.environ, lambda _: None)
    return check_infrastructure(folder / "automation")


@pytest.mark.slow
@pytest.mark.parametrize("point", [*BEFORE, *AFTER])
def test_an_update_killed_at_a_state_is_concluded(tmp_path: Path, point: str) -> None:
    project = make_project(tmp_path)
    assert project.deploy("production", "v3", now=True).state is OperationState.HEALTHY
    assert run_deploy(tmp_path / "spec.yaml", "v3", point) == -signal.SIGKILL
    active, states = conclude(tmp_path)
    concluded = OperationState.FAILED if point in BEFORE else OperationState.HEALTHY
    assert (active, states[-1]) == (1 if point in BEFORE else 2, concluded)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["unhealthy", "rollback REQUESTED"])
def test_a_rollback_killed_at_a_state_is_brought_to_its_end(tmp_path: Path, point: str) -> None:
    project = make_project(tmp_path)
    project.deploy("production", "v3", now=True)
    assert run_deploy(tmp_path / "spec.yaml", "v4", point) == -signal.SIGKILL
    _, states = conclude(tmp_path)
    assert states[1] is OperationState.ROLLED_BACK
    with Node.open(tmp_path / "automation") as node:
        assert node.list_revisions("production")[-1].bundle_name == "v3"


SLEEP = "setsid sleep 300 & sleep 300 & echo $! $$ > pids; wait"
"""Of three processes, one leaves the process group."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "care",
    [
        f"hooks: {{before: [{{argv: [sh, -c, '{SLEEP}']}}]}}",
        f"hooks: {{after: [{{argv: [sh, -c, '{SLEEP}']}}]}}",
        "health: {run: [probe]}",
    ],
    ids=["hook before", "hook after", "run of the health check"],
)
def test_what_a_killed_update_has_started_ends_with_it(tmp_path: Path, care: str) -> None:
    spec = write_spec(tmp_path, care=care, function="sleep")
    (tmp_path / "mine.py").write_text(
        f"import subprocess\ndef sleep():\n    subprocess.run(['sh', '-c', 'cd {tmp_path}; {SLEEP}'], check=True)\n"
    )
    make_bundle(load(spec), "v1")
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(spec), "v1", "never"], stdout=subprocess.DEVNULL, cwd=tmp_path
    ) as deployer:
        wait_until(lambda: len(read_pids(tmp_path)) == 2, "nothing was started")
        started = list_descendants(deployer.pid)
        assert len(started) >= 3
        deployer.kill()
    wait_until(lambda: not any(map(is_alive, started)), "processes of a killed update live on")


def test_a_full_disk_leaves_nothing_half_made_and_is_reported(tmp_path: Path) -> None:
    with mount_small_disk(tmp_path / "automation", "size=4m") as place:
        project = load(make_project(tmp_path, care=f"{HOOK}\nkeep: 1").spec.path)
        assert deploy_bundle(project, "production", "v3", environ=os.environ, now=True).state is OperationState.HEALTHY
        ends, told = {}, []
        for point in [*BEFORE, *AFTER, "unhealthy", "rollback REQUESTED"]:
            bundle = "v3" if point in (*BEFORE, *AFTER) else "v4"
            filler = place / "filler"

            def fill(at: str, point: str = point, filler: Path = filler) -> None:
                if at == point:
                    fill_disk(filler)

            try:
                done = deploy_bundle(
                    project, "production", bundle, environ=os.environ, now=True, again=True, checkpoint=fill
                )
                told.append((point, done.reason))
            except StoreError as problem:
                told.append((point, str(problem)))
            filler.unlink()
            ends[point] = conclude(tmp_path)[1][-1]
        assert set(ends.values()) <= {OperationState.FAILED, OperationState.HEALTHY}, ends
        assert {ends[point] for point in ("REQUESTED", "RECEIVED", "VERIFIED")} == {OperationState.FAILED}, ends
        assert {ends[point] for point in AFTER} == {OperationState.HEALTHY}, ends
        full = [text for _, text in told if "the disk is full" in text or "No space left" in text]
        assert len(full) >= 3, told
        unrecorded = [text for text in full if "its end cannot be recorded" in text]
        assert all("is active; the next update, or the server that serves it" in text for text in unrecorded)
        assert unrecorded, told


def read_pids(folder: Path) -> list[str]:
    path = folder / "pids"
    return path.read_text().split() if path.exists() else []


@pytest.mark.slow
def test_a_first_update_that_is_killed_leaves_nothing_active(tmp_path: Path) -> None:
    make_project(tmp_path)
    assert run_deploy(tmp_path / "spec.yaml", "v3", "LAID_DOWN") == -signal.SIGKILL
    assert conclude(tmp_path) == (None, [OperationState.FAILED])


@pytest.mark.slow
def test_updates_killed_at_ten_random_times_leave_one_active_revision(tmp_path: Path) -> None:
    chosen = random.Random(20261128)
    project = make_project(tmp_path)
    project.deploy("production", "v3", now=True)
    for _ in range(10):
        run_deploy(tmp_path / "spec.yaml", chosen.choice(["v3", "v4"]), seconds=chosen.uniform(0, 0.6))
        active, _ = conclude(tmp_path)
        assert active is not None
