"""Triggers of data without a server: what it would store is kept in memory, the files and the threads are real."""

import textwrap
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.service.sources.data_probes import DataProbes
from engine.spec import ProjectSpec, load
from engine.spec.resources.scenarios import Scenario
from engine.store import Fire, Pause, TriggerState

from ..waiting import PATIENCE

QUIET = 1.0
"""Seconds in which nothing fires, where nothing should: every look is repeated several times."""


def write_spec(folder: Path, datasets: str, *triggers: str, more: str = "") -> Path:
    """Write a spec with these datasets, whose scenario `s` has these triggers, each looked at all the time."""
    path = folder / "spec.yaml"
    listed = "\n".join(f"      - {{name: t{i}, every: 100ms, {keys}}}" for i, keys in enumerate(triggers))
    path.write_text(
        "version: 1\nproject: p\ndatasets:\n"
        f"{textwrap.indent(textwrap.dedent(datasets).strip(), '  ')}\n"
        f"scenarios:\n  s:\n    steps: [{{name: x, kind: run_checks, target: d}}]\n    triggers:\n{listed}\n"
        f"{textwrap.dedent(more)}"
    )
    return path


def fill_values(project: ProjectSpec, fire: Fire, previous: datetime | None) -> Fire:
    """Give a fire the variables of its trigger, which hold no references here."""
    triggers = {one.name: one for one in project.scenarios[fire.scenario].triggers}
    return replace(fire, values={name: str(value) for name, value in triggers[fire.trigger].variables.items()})


class Served:
    """The triggers of a spec while a server runs; `states` is what the server before has stored."""

    def __init__(
        self, spec: Path, states: dict[str, TriggerState] | None = None, environ: dict[str, str] | None = None
    ):
        self.project = load(spec)
        self.probes = DataProbes(environ or {}, fill_values)
        self.states = dict(states or {})
        for trigger in self._list_triggers():
            self.states.setdefault(trigger, TriggerState("s", trigger, "defined", datetime.now(UTC)))
        self.fires: list[Fire] = []
        self.pauses: list[Pause] = []

    def _list_triggers(self) -> list[str]:
        scenario = self.project.scenarios["s"]
        assert isinstance(scenario, Scenario)
        return [trigger.name for trigger in scenario.triggers]

    def tick(self) -> list[Fire]:
        """Look once, as the server does now and then; return the fires."""
        new = []
        for state, fires in self.probes.look(self.project, list(self.states.values()), datetime.now(UTC), self.pauses):
            self.states[state.trigger] = state
            new += fires
        self.fires += new
        return new

    def wait(self, seconds: float = PATIENCE) -> list[Fire]:
        """Return the next fires; none if there are none so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if new := self.tick():
                return new
            time.sleep(0.02)
        return []

    def begin(self) -> "Served":
        """Wait until everything has been seen once."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not all(state.seen or state.error for state in self.states.values()):
            assert self.tick() == []
            time.sleep(0.02)
        return self

    def wait_for_error(self, trigger: str = "t0") -> str:
        """Return why a trigger cannot be evaluated."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self.states[trigger].error:
            assert self.tick() == []
            time.sleep(0.02)
        return self.states[trigger].error or ""

    def restart(self, spec: Path | None = None) -> "Served":
        """Return the triggers as another server has them, which reads the stored states."""
        return Served(spec or self.project.path, self.states)

    def redefine(self, trigger: str = "t0") -> None:
        """Let a trigger count as new, as after a change of it."""
        self.states[trigger] = replace(self.states[trigger], definition="edited", seen={}, error=None, error_since=None)
