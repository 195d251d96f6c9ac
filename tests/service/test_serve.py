"""`engine serve` as a process: what it runs, what it says, how it ends."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.store import FireState

from .served import (
    Served,
    describe_scenario,
    read_state,
    write_project,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start servers, which end with the test."""
    begun: list[Served] = []

    def begin(*arguments: str, **options: object) -> Served:
        begun.append(Served(tmp_path, *arguments, **options))  # type: ignore[arg-type]
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_an_interval_starts_runs_of_its_times(serve: Callable[..., Served], tmp_path: Path) -> None:
    state = write_project(tmp_path, "scenarios:\n" + describe_scenario("s", "note"))
    server = serve()
    server.wait_for("run", 3)
    assert server.end() == 0
    fires, runs = read_state(state)
    done = [fire for fire in fires if fire.state is FireState.DONE]
    assert {run.id for run in runs} >= {fire.run for fire in done}
    assert len(done) >= 3
    by_id = {run.id: run for run in runs}
    for fire in done:
        run = by_id[str(fire.run)]
        assert (run.fire, run.trigger, run.outcome) == (fire.number, "timer", Outcome.SUCCESS)
        assert run.as_of == fire.scheduled
    assert len({run.spec for run in runs}) == 1
    assert runs[0].spec
