"""Lists the inputs of datasets, recursively: the datasets of a query, or the one whose kept rows are read."""

from collections.abc import Iterable

from engine.spec import sql
from engine.spec.resources.datasets import QueryDataset
from engine.spec.resources.evaluation_stores import DatasetReference
from engine.spec.resources.models import TrainModel
from engine.spec.resources.project import ProjectResource
from engine.spec.stored_data import find_writers


def list_inputs(names: Iterable[str], spec: ProjectResource) -> list[str]:
    """Return the names of datasets and of all their inputs, without undeclared ones."""
    waiting = list(names)
    found: dict[str, None] = {}
    while waiting:
        name = waiting.pop(0)
        if name in spec.datasets and name not in found:
            found[name] = None
            waiting += list_own_inputs(name, spec)
    return list(found)


def list_own_inputs(name: str, spec: ProjectResource) -> list[str]:
    """Return the direct inputs of a dataset: the names in its query, or the dataset whose kept rows it reads."""
    dataset = spec.datasets[name]
    if isinstance(dataset, QueryDataset):
        return sorted(sql.list_tables(dataset.sql))
    return find_writers(dataset, spec.datasets, spec.connections)


def list_read_datasets(target: str, spec: ProjectResource) -> list[str]:
    """Return the datasets that are read for a dataset, a model or a store, with the inputs of their queries."""
    store = spec.evaluation_stores.get(target)
    models = [spec.models.get(name or "") for name in ((store.model, store.challenger) if store else (target,))]
    waiting = [store.dataset if store else target]
    waiting += [model.dataset for model in models if isinstance(model, TrainModel)]
    if store and isinstance(store.reference, DatasetReference):
        waiting.append(store.reference.dataset)
    return list_inputs(waiting, spec)
