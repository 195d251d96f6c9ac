"""Selects the scenarios that `engine run` runs, and makes the default one of a project without scenarios."""

from collections.abc import Sequence

from engine.spec import ProjectSpec
from engine.spec.resources.scenarios import BuildStep, RunChecksStep, Scenario

DEFAULT_SCENARIO = "default"
"""Name of the scenario of a project that declares none: it builds every evaluation store and runs every check."""


def select_scenarios(project: ProjectSpec) -> Sequence[str]:
    """Return the scenarios to run if the user names none; empty if there are several and the spec has no `run:`."""
    declared = project.resources.run
    if declared is not None:
        return [declared] if isinstance(declared, str) else declared
    if not project.scenarios:
        return [DEFAULT_SCENARIO]
    return list(project.scenarios) if len(project.scenarios) == 1 else []


def resolve_scenario(project: ProjectSpec, name: str) -> Scenario:
    """Return a declared scenario, or the default one."""
    return project.scenarios[name] if name in project.scenarios else _make_default_scenario(project)


def _make_default_scenario(project: ProjectSpec) -> Scenario:
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
