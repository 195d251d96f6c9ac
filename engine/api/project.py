"""The Python API of a project: the spec is loaded once, and the state is opened for each call and closed again.

Nothing stays open between calls, so an idle notebook holds no lock and no file.
"""

import os
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path

from engine import spec
from engine.api.project_checks import ProjectChecks
from engine.api.project_deployments import ProjectDeployments
from engine.api.project_messages import ProjectMessages
from engine.api.project_runs import ProjectRuns
from engine.api.project_state import ProjectState
from engine.api.project_triggers import ProjectTriggers
from engine.scenarios.result import RunResult as Run
from engine.spec.variables.references import Value
from engine.store.node import OperationRow as Update

__all__ = ["Project", "Run", "Update", "load", "run"]


class Project(ProjectRuns, ProjectChecks, ProjectMessages, ProjectTriggers, ProjectDeployments, ProjectState):
    """A project: the resources of its spec, and the results in its state.

    Attributes
    ----------
    spec
        The validated spec.
    environ
        The environment that secrets are read from.
    listeners
        Called with each entry of the log while scenarios run.
    """

    __slots__ = ()


def load(
    path: Path | str,
    variables: Mapping[str, Value] | None = None,
    *,
    as_of: date | datetime | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Project:
    """Load the project that a spec file declares.

    Parameters
    ----------
    variables
        Values that replace those of the spec; a text is converted to the declared variable's type.
    as_of
        The moment that runs stand for, `${as_of}`: a date, or a time (of the project's time zone, if it has no offset);
        by default the moment at which the project is loaded.
    environ
        The environment that secrets and `${env.NAME}` are read from.

    Raises
    ------
    SpecError
        The spec is invalid; `diagnostics` has all problems, in order of position.
    """
    # absolute, because a notebook may change its working folder between two calls
    return Project(spec.load(Path(path).absolute(), variables, environ, as_of), environ)


def run(path: Path | str, scenario: str | None = None, variables: Mapping[str, Value] | None = None) -> list[Run]:
    """Load a spec and run the scenario, or those of `run:`, as `engine run` does; return the runs in order.

    Raises
    ------
    SpecError
        The spec is invalid; nothing has run.
    UsageError, StoreError
        See `Project.run` and `Project.run_all`.
    """
    project = load(path, variables)
    return project.run_all() if scenario is None else [project.run(scenario)]
