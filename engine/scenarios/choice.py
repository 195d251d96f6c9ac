"""Selects the scenarios that `engine run` runs, and makes the default one of a project without scenarios."""

from collections.abc import Sequence

from engine.spec import Project
from engine.spec.resources.scenarios import BuildStep, RunChecksStep, Scenario

DEFAULT = "default"
"""Name of the scenario of a project that declares none: it builds every evaluation store and runs every check."""


def chosen(project: Project) -> Sequence[str]:
    """Return the scenarios to run if the user names none; empty if there are several and the spec has no `run:`."""
    declared = project.spec.run
    if declared is not None:
        return [declared] if isinstance(declared, str) else declared
    if not project.scenarios:
        return [DEFAULT]
    return list(project.scenarios) if len(project.scenarios) == 1 else []


def scenario(project: Project, name: str) -> Scenario:
    """Return a declared scenario, or the default one."""
    return project.scenarios[name] if name in project.scenarios else _default(project)


def _default(project: Project) -> Scenario:
    models = [] if project.evaluation_stores else list(project.models)
    builds = [*models, *project.evaluation_stores]
    checked = [name for name, store in project.evaluation_stores.items() if store.checks]
    checked += [name for name, dataset in project.datasets.items() if dataset.checks]
    return Scenario(
        steps=[
            *(BuildStep(name=f"build {name}", target=name) for name in builds or project.datasets),
            *(RunChecksStep(name=f"check {name}", target=name) for name in checked),
        ]
    )
