"""The resources of a project and their dependencies, from datasets to messages and deployments."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.spec.dataset_inputs import list_own_inputs
from engine.spec.project import ProjectSpec
from engine.spec.resources.resource import Resource
from engine.spec.resources.triggers import DatasetChangedTrigger, ScenarioFinishedTrigger

WORDS = {
    "datasets": "dataset",
    "models": "model",
    "evaluation_stores": "evaluation store",
    "scenarios": "scenario",
    "channels": "channel",
    "bundles": "bundle",
    "deployments": "deployment",
}
SECTIONS = tuple(WORDS)

Key = tuple[str, str]
"""The section and the name of a resource."""


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A resource: its kind in the spec, and the resources that it needs."""

    section: str
    name: str
    kind: str
    needs: tuple[Key, ...]

    @property
    def key(self) -> Key:
        return self.section, self.name

    @property
    def word(self) -> str:
        """The name of its kind for people."""
        return WORDS[self.section]


def describe_flow(project: ProjectSpec) -> tuple[FlowNode, ...]:
    """Return the resources of a project in the order of the spec, datasets first, each with the resources it needs."""
    declared = {(section, name) for section in SECTIONS for name in _list_declared(project, section)}
    return tuple(
        FlowNode(
            section,
            name,
            str(getattr(resource, "kind", "")),
            tuple(one for one in dict.fromkeys(_list_needs(project, section, name)) if one in declared),
        )
        for section in SECTIONS
        for name, resource in _list_declared(project, section).items()
    )


def _list_declared(project: ProjectSpec, section: str) -> Mapping[str, Resource]:
    found: Mapping[str, Resource] = getattr(project, section, None) or getattr(project.resources, section)
    return found


def _list_needs(project: ProjectSpec, section: str, name: str) -> Iterator[Key]:
    if section == "datasets":
        yield from (("datasets", one) for one in list_own_inputs(name, project.resources))
    elif section == "models":
        if training := getattr(project.models[name], "dataset", None):
            yield "datasets", training
    elif section == "evaluation_stores":
        store = project.evaluation_stores[name]
        yield "datasets", store.dataset
        yield from (("models", one) for one in (store.model, store.challenger) if one)
        if reference := getattr(store.reference, "dataset", None):
            yield "datasets", reference
    elif section == "scenarios":
        yield from _list_used(project, name)
    elif section == "channels":  # a channel depends on the scenarios that send to it
        yield from (
            ("scenarios", scenario)
            for scenario, declared in project.scenarios.items()
            if any(reporter.channel == name for reporter in declared.reporters)
        )
    elif section == "bundles":
        included = project.resources.bundles[name].include
        yield from (("datasets", one) for one in included.datasets)
        yield from (("models", one) for one in included.models)
    elif bundle := project.resources.deployments[name].bundle:
        yield "bundles", bundle


def _list_used(project: ProjectSpec, scenario: str) -> Iterator[Key]:
    """Yield the resources named in a scenario's steps, and those that its triggers wait for."""
    declared = project.scenarios[scenario]
    for trigger in declared.triggers:
        if isinstance(trigger, DatasetChangedTrigger):
            yield from (("datasets", one) for one in trigger.datasets)
        elif isinstance(trigger, ScenarioFinishedTrigger):
            yield "scenarios", trigger.scenario
    for step in declared.steps:
        for name in _list_targets(step):
            yield from (
                (section, name)
                for section in ("evaluation_stores", "models", "datasets")
                if name in getattr(project, section)
            )
        if child := getattr(step, "scenario", None):
            yield "scenarios", child


def _list_targets(step: Resource) -> Sequence[str]:
    """Return the names of datasets, models and stores in the keys of a step."""
    found: list[str] = []
    for key in ("target", "dataset", "model", "candidate"):
        value = getattr(step, key, None)
        found += [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return found
