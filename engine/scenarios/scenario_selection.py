"""Selects the scenarios that `engine run` runs, and makes the default scenario of a project that declares none."""

from collections.abc import Collection, Iterable, Sequence

from engine.errors import UsageError
from engine.formatting.hints import suggest_name
from engine.spec import ProjectSpec
from engine.spec.resources.scenarios import AnyStep, BuildStep, RunChecksStep, Scenario

DEFAULT_SCENARIO = "default"
"""Name of the scenario of a project that declares none: it builds every evaluation store and runs every check."""


def select_scenarios(project: ProjectSpec, named: Sequence[str] = ()) -> Sequence[str]:
    """Return the scenarios to run: those in `named`, else those of `run:`, else the only one.

    Raises
    ------
    UsageError
        There is no scenario with a given name; none is named, there are several, and the spec has no `run:`; or the
        spec declares nothing that a run could build.
    """
    if not (project.scenarios or project.evaluation_stores or project.models or project.datasets):
        raise UsageError(
            f"{project.path} declares nothing to run: add datasets, and an evaluation store that compares them; "
            "`engine init FOLDER --data FILE` proposes a spec for your data"
        )
    require_scenarios(named, project)
    if named:
        return named
    if run := list_run_scenarios(project):
        return run
    declared = list_scenarios(project)
    if len(declared) > 1:
        raise UsageError(f"give a scenario: {', '.join(declared)}; or set `run:` in the spec")
    return declared


def list_scenarios(project: ProjectSpec) -> list[str]:
    """Return the names of the scenarios; the default one if the project declares none."""
    return list(project.scenarios) or [DEFAULT_SCENARIO]


def require_scenarios(named: Iterable[str], project: ProjectSpec) -> None:
    """Raise UsageError if the project has no scenario of a given name."""
    known = list_scenarios(project)
    for name in named:
        if name not in known:
            raise UsageError(f"there is no scenario {name!r}{suggest_name(name, known)}")


def list_run_scenarios(project: ProjectSpec) -> list[str]:
    """Return the scenarios of `run:`; an empty list if the spec has no `run:`."""
    run = project.resources.run
    return [run] if isinstance(run, str) else list(run or ())


def is_declared(project: ProjectSpec, name: str) -> bool:
    """Return whether the project has a scenario of this name, declared or default."""
    return name in list_scenarios(project)


def resolve_scenario(project: ProjectSpec, name: str) -> Scenario:
    """Return a declared scenario, or the default one."""
    return project.scenarios[name] if name in project.scenarios else _make_default_scenario(project)


def list_preconditions(project: ProjectSpec, scenario: str, step: AnyStep) -> Collection[str] | None:
    """Return the earlier steps that must not have FAILED if a step without run_condition is to run; None for all.

    In the default scenario, the failure of one store does not keep the others from being built and checked.
    """
    return None if scenario in project.scenarios else [_name_build(target) for target in step.targets]


def _name_build(target: str) -> str:
    return f"build {target}"


def _make_default_scenario(project: ProjectSpec) -> Scenario:
    models = [] if project.evaluation_stores else list(project.models)
    builds = [*models, *project.evaluation_stores]
    checked = [name for name, store in project.evaluation_stores.items() if store.checks]
    checked += [name for name, dataset in project.datasets.items() if dataset.checks]
    return Scenario(
        steps=[
            *(BuildStep(name=_name_build(name), target=name) for name in builds or project.datasets),
            *(RunChecksStep(name=f"check {name}", target=name) for name in checked),
        ]
    )
