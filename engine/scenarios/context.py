"""What a run works with, passed in: the project under its variables, its data, the store, the secrets, the clock.

Frozen: a turn of a loop or a `set_variables` step gets a context of its own, so values never outlive their scope.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from engine.data import Datasets
from engine.scenarios.actions import Action
from engine.scenarios.choice import scenario
from engine.scenarios.log import RunLog
from engine.scenarios.result import RunResult
from engine.spec import Project
from engine.spec.resources.scenarios import Scenario
from engine.spec.secrets import Secrets
from engine.store import Busy, Store

Mode = Literal["run", "dry run", "plan"]


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a step may touch.

    The project's overrides are the values set by the command line, loops and steps so far. `under` are the tokens of
    the locks that this run and its parents hold. `built` is the evaluation of each store that this run has built or
    reused. `start` runs another scenario. With `preview`, what reporters would send is shown instead of sent.
    In a dry run the store is a copy, and nothing may be changed elsewhere; in a plan what is decided is not even done.
    `touched` are the paths of files that were written again with the same content. `actions` is the account of the
    step that is running: what was decided, in order.
    """

    project: Project
    datasets: Datasets
    store: Store
    secrets: Secrets
    environ: Mapping[str, str]
    clock: Callable[[], datetime]
    log: RunLog
    start: "Callable[[str, Context], RunResult]"
    under: tuple[str, ...] = ()
    built: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
    trigger: str = "manual"
    preview: Callable[[str], None] | None = None
    mode: Mode = "run"
    touched: Collection[str] = ()
    actions: list[Action] = field(default_factory=list)

    def scenario(self, name: str) -> Scenario:
        """Return a scenario under the variables as they are now."""
        return scenario(self.project, name)

    def with_values(self, values: Mapping[str, Any]) -> "Context":
        """Return a context in which these variables have these values."""
        if not values:
            return self
        project = self.project.with_variables(values)
        return replace(self, project=project, datasets=self.datasets.of(project))

    def with_defaults(self, values: Mapping[str, Any]) -> "Context":
        """Return a context in which these variables have these values unless something has set them."""
        return self.with_values({name: value for name, value in values.items() if name not in self.project.overrides})

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> "Iterator[Context]":
        """Hold a lock of the store and give the context that works under it."""
        with self.store.lock(
            name, wait=wait, run=self.run, scenario=self.log.scenario, under=self.under, waiting=self._say_waiting
        ) as held:
            yield replace(self, under=(*self.under, held.token))

    def _say_waiting(self, busy: Busy) -> None:
        self.log.info(f"waiting: {busy}")
