"""Projects with triggers, and a store of fires in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from engine.service.triggers.due_fires import find_due
from engine.service.triggers.trigger_states import reconcile_states
from engine.spec.project import ProjectSpec, load
from engine.store import Fire, Pause, TriggerState

MakeProject = Callable[..., ProjectSpec]
STEPS = "    steps: [{name: s, kind: set_variables, variables: {day: a}}]\n"


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Read a project whose scenarios have these triggers, each written as a YAML mapping."""

    def make(timezone: str = "UTC", /, **scenarios: Sequence[str]) -> ProjectSpec:
        text = f"version: 1\nproject: p\ntimezone: {timezone}\nvariables: {{day: none, more: none}}\nscenarios:\n"
        for name, triggers in scenarios.items():
            listed = "".join(f"      - {one}\n" for one in triggers)
            text += f"  {name}:\n" + (f"    triggers:\n{listed}" if listed else "") + STEPS
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        return load(path)

    return make


class Ticking:
    """What a scheduler keeps: the states of triggers, and fires by their keys."""

    def __init__(self, project: ProjectSpec, now: datetime) -> None:
        self.project = project
        self.states: dict[tuple[str, str], TriggerState] = {}
        self.fires: dict[tuple[str, str, str], Fire] = {}
        self.pauses: list[Pause] = []
        self.newest_end = 0
        self.reconcile(now)

    def reconcile(self, now: datetime, project: ProjectSpec | None = None) -> None:
        self.project = project or self.project
        written = reconcile_states(self.project, [*self.states.values()], now, newest_end=self.newest_end)
        self.states |= {(one.scenario, one.trigger): one for one in written}

    def tick(self, now: datetime) -> list[Fire]:
        """Look at all scenarios, and return the fires that are new, oldest first."""
        new = []
        for scenario in self.project.scenarios:
            states, fires = find_due(self.project, scenario, [*self.states.values()], now, self.pauses)
            self.states |= {(one.scenario, one.trigger): one for one in states}
            new += [one for one in fires if self.insert(one)]
        return sorted(new, key=lambda one: one.scheduled)

    def insert(self, fire: Fire) -> bool:
        key = (fire.scenario, fire.trigger, fire.key)
        if key in self.fires:
            return False
        self.fires[key] = replace(fire, number=len(self.fires) + 1)
        return True


@pytest.fixture
def ticking() -> type[Ticking]:
    """Begin to tick for a project, whose triggers are seen for the first time at a moment."""
    return Ticking
