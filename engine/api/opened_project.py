"""The base of the Python API: a project whose state is opened for each call and closed again."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Self

from engine import spec
from engine.api.evaluation_store import EvaluationStore
from engine.api.lookup import require_store
from engine.api.opened_state import open_session, open_state
from engine.api.project_tables import ProjectTables
from engine.pipeline.context import StateContext
from engine.pipeline.log import LogLine
from engine.scenarios.context import RunContext
from engine.scenarios.scenario_selection import list_scenarios
from engine.spec.variables.references import Value


@dataclass(frozen=True, slots=True, repr=False)
class OpenedProject:
    """A spec with access to its state, which is opened for each call; for the attributes, see `Project`."""

    spec: spec.ProjectSpec
    environ: Mapping[str, str]
    listeners: tuple[Callable[[LogLine], None], ...] = ()

    def __repr__(self) -> str:
        return f"Project({self.name!r}, scenarios={self.scenarios}, stores={self.stores})"

    @property
    def name(self) -> str:
        """The project's name."""
        return self.spec.name

    @property
    def scenarios(self) -> list[str]:
        """The names of the scenarios; `default` if the spec declares none."""
        return list_scenarios(self.spec)

    @property
    def stores(self) -> list[str]:
        """The names of the evaluation stores."""
        return list(self.spec.evaluation_stores)

    def with_variables(self, **values: Value) -> Self:
        """Return the project with other values of its variables.

        Raises
        ------
        SpecError
            A variable is not declared, or a value makes the spec invalid.
        """
        return replace(self, spec=self.spec.with_variables(values))

    def store(self, name: str) -> EvaluationStore:
        """Return an evaluation store; raise UsageError if the name is unknown."""
        require_store(name, self.spec)
        return EvaluationStore(name, self.spec, self.open_state, self.open_session)

    @property
    def tables(self) -> ProjectTables:
        """The contents of the state as tables without polars, as printed on the command line."""
        return ProjectTables(self.spec, self.open_state)

    def open_session(self) -> AbstractContextManager[RunContext]:
        """Open the project's state and data, and yield a context for runs."""
        return open_session(self.spec, self.environ, self.listeners)

    def open_state(self) -> AbstractContextManager[StateContext]:
        """Open the project's state without data; messages about killed runs are sent first."""
        return open_state(self.spec, self.environ, self.listeners)
