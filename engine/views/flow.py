"""The flow of a project: which dataset, model and evaluation store is made of which, in layers from left to right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.errors import Position
from engine.spec import ProjectSpec
from engine.spec.dataset_inputs import list_own_inputs

FlowKind = Literal["dataset", "model", "evaluation_store"]
FlowKey = tuple[FlowKind, str]
_SECTIONS: Mapping[FlowKind, str] = {
    "dataset": "datasets",
    "model": "models",
    "evaluation_store": "evaluation_stores",
}


@dataclass(frozen=True, slots=True)
class FlowNode:
    """One dataset, model or store.

    Attributes
    ----------
    layer
        The length of the longest path that leads to it, from 0.
    inputs
        What it is made of, by kind and name.
    position
        Where the spec declares it.
    """

    kind: FlowKind
    name: str
    detail: str
    layer: int
    inputs: tuple[FlowKey, ...]
    position: Position


def describe_flow(project: ProjectSpec) -> tuple[FlowNode, ...]:
    """Return the nodes of a project, those of a layer together, in the order of the spec."""
    inputs: dict[FlowKey, list[FlowKey]] = {}
    details: dict[FlowKey, str] = {}
    for name, dataset in project.datasets.items():
        inputs["dataset", name] = [("dataset", one) for one in list_own_inputs(name, project.resources)]
        details["dataset", name] = dataset.kind
    for name, model in project.models.items():
        trained_on = getattr(model, "dataset", None)
        inputs["model", name] = [("dataset", trained_on)] if trained_on else []
        details["model", name] = model.kind
    for name, store in project.evaluation_stores.items():
        made_of: list[FlowKey] = [("dataset", store.dataset)]
        made_of += [("model", one) for one in (store.model, store.challenger) if one]
        compared = getattr(store.reference, "dataset", None)
        made_of += [("dataset", compared)] if compared else []
        inputs["evaluation_store", name] = made_of
        details["evaluation_store", name] = "evaluation store"
    known = {key: tuple(dict.fromkeys(one for one in made_of if one in inputs)) for key, made_of in inputs.items()}
    layers = _measure_depths(known)
    nodes = [
        FlowNode(key[0], key[1], details[key], layers[key], made_of, project.position(_SECTIONS[key[0]], key[1]))
        for key, made_of in known.items()
    ]
    return tuple(sorted(nodes, key=lambda node: node.layer))


def _measure_depths(inputs: Mapping[FlowKey, tuple[FlowKey, ...]]) -> dict[FlowKey, int]:
    """Return the length of the longest path to each node; specs with cycles are not valid."""
    depths: dict[FlowKey, int] = {}
    waiting = list(inputs)
    while waiting:
        left = [one for one in waiting if any(before not in depths for before in inputs[one])]
        for one in waiting:
            if one not in left:
                depths[one] = 1 + max((depths[before] for before in inputs[one]), default=-1)
        if len(left) == len(waiting):
            return depths | dict.fromkeys(left, 0)
        waiting = left
    return depths
