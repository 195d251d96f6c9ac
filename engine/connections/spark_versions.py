"""Checks that executors of Spark have the same package versions as the machine that sends the tasks.

Another version of the engine may measure differently, of polars may not read the expressions that are sent, and of
scikit-learn may predict other values: without a check, nobody would notice.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from engine.errors import DataError

if TYPE_CHECKING:
    from pyarrow import RecordBatch

    Task = Callable[[Iterator[RecordBatch]], Iterator[RecordBatch]]


def require_versions(task: "Task") -> "Task":
    """Return a task that raises a DataError where the version of a package differs from the one here."""
    return partial(_run_if_same, _read_versions(), task)


def _run_if_same(
    expected: Mapping[str, str], task: "Task", batches: "Iterator[RecordBatch]"
) -> "Iterator[RecordBatch]":
    for name, found in _read_versions().items():
        if found != expected[name]:
            raise DataError(
                f"the executors have {name} {found}, and this machine has {name} {expected[name]}: install the same "
                "engine[spark] for the Python of the executors"
            )
    return task(batches)


@cache
def _read_versions() -> Mapping[str, str]:
    """Return the version of each package: the full one of the engine, the first two numbers of others."""
    others = {name: ".".join(version(name).split(".")[:2]) for name in ("polars", "scikit-learn")}
    return {"engine": version("engine"), **others}
