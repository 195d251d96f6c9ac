"""Which datasets a dataset is made of: what its query reads, and what the queries of these read."""

from collections.abc import Iterable, Mapping

from engine.spec import sql
from engine.spec.resources.datasets import AnyDataset, QueryDataset


def list_inputs(names: Iterable[str], datasets: Mapping[str, AnyDataset]) -> list[str]:
    """Return the names of datasets, and of all that their queries read; those that are not declared are left out."""
    waiting = list(names)
    found: dict[str, None] = {}
    while waiting:
        name = waiting.pop(0)
        dataset = datasets.get(name)
        if dataset and name not in found:
            found[name] = None
            waiting += sorted(sql.list_tables(dataset.sql)) if isinstance(dataset, QueryDataset) else ()
    return list(found)
