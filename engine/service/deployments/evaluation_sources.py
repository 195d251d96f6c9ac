"""Sources of the evaluations of a deployment, such as a local state."""

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from engine.store import Store
from engine.store.transfer import (
    EvaluationPage,
    TravellingEvaluation,
    find_file,
    list_evaluations,
    pack_evaluation,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter on the evaluations of a deployment; None selects all stores or all times."""

    deployment: str
    store: str | None = None
    since: datetime | None = None


class EvaluationSource(Protocol):
    """The evaluations of one deployment."""

    def list_page(self, wanted: Wanted, after: int) -> EvaluationPage:
        """Return a page of entries of evaluations after a number."""
        ...

    def find(self, id_: str) -> TravellingEvaluation | None:
        """Return a complete evaluation; None if it no longer exists."""
        ...

    def receive_file(self, id_: str, name: str, target: Path, size: int) -> bool:
        """Write a file of an evaluation, at most `size` bytes; return False if it no longer exists."""
        ...


@dataclass(frozen=True, slots=True)
class FolderSource:
    """The state of a deployment in a local folder."""

    project: str
    store: Store

    def list_page(self, wanted: Wanted, after: int) -> EvaluationPage:
        """Return a page of entries of evaluations after a number."""
        return list_evaluations(
            self.store, self.project, wanted.deployment, after=after, of_store=wanted.store, since=wanted.since
        )

    def find(self, id_: str) -> TravellingEvaluation | None:
        """Return a complete evaluation; None if it no longer exists."""
        return pack_evaluation(self.store, id_)

    def receive_file(self, id_: str, name: str, target: Path, size: int) -> bool:
        """Copy a file of an evaluation; return False if it no longer exists."""
        path = find_file(self.store, id_, name)
        if path is None:
            return False
        try:
            shutil.copyfile(path, target)
        except FileNotFoundError:
            return False
        return True
