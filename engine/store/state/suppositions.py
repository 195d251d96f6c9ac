"""A read-only state for `engine plan`, which keeps simulated results in memory.

Later steps of the plan find these results after the stored ones. The classes have the methods of the store's parts, so
that a plan and a run use the same code. The few simulated files are in a temporary folder.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.evaluation.record import CheckResult, Evaluation, MetricValue
from engine.store.checks import Checks
from engine.store.clock import utc_now
from engine.store.databases.database import Database
from engine.store.databases.database_files import is_writable_state
from engine.store.databases.errors import translate_errors
from engine.store.evaluation_filter import EvaluationFilter
from engine.store.evaluations import Evaluations
from engine.store.folders import Folders
from engine.store.kept_rows import KeptRowsRecords
from engine.store.location import StateLocation, as_location
from engine.store.measurements import Measurements
from engine.store.model_versions import ModelVersions
from engine.store.records.datasets import KeptRows
from engine.store.records.evaluations import PastFacts
from engine.store.records.models import ModelVersion
from engine.store.schema import is_current_schema
from engine.store.snapshots import Snapshots
from engine.store.state.temporary_copy import copy_state
from engine.store.store import Store


@contextmanager
def open_supposing(place: Path | StateLocation, *, now: Callable[[], datetime] = utc_now) -> Iterator[Store]:
    """Open a state for a plan, without changing it.

    A temporary copy is used if the state does not exist yet, has the tables of an earlier version, or is an SQLite file
    that this user cannot write, which SQLite may not be able to read either.

    Raises
    ------
    StoreError
        The state cannot be read.
    """
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True)))
        location = as_location(place)
        database = location.open_database(now=now, read_only=True)
        readable = location.rows is not None or is_writable_state(location.folder.absolute())
        if not (readable and is_current_schema(database)):
            database.close()
            copy = StateLocation(stack.enter_context(copy_state(location)))
            Store.open(copy, now=now).close()
            database = copy.open_database(now=now, read_only=True)
        yield stack.enter_context(_SupposingStore(database, temporary))


class _SupposingStore(Store):
    """A store that keeps additions in memory instead of writing them."""

    def __init__(self, database: Database, temporary: Path) -> None:
        super().__init__(database)
        self.folders = folders = _TemporaryFolders(database, temporary)
        self.evaluations = _SupposedEvaluations(database, folders)
        self.models = _SupposedModelVersions(database, folders, temporary)
        self.snapshots = _SupposedSnapshots(database, temporary)
        self.measurements = _SupposedMeasurements(database)
        self.checks = _SupposedChecks(database)
        self.kept_rows = _SupposedKeptRows(database)


class _TemporaryFolders(Folders):
    """Staging folders outside of the state."""

    def __init__(self, database: Database, temporary: Path) -> None:
        super().__init__(database)
        self._temporary = temporary

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Yield a temporary folder; it is removed at the end unless it was moved away."""
        folder = self._temporary / "staging" / secrets.token_hex(8)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _SupposedEvaluations(Evaluations):
    """The stored evaluations and the simulated ones, which have no metrics."""

    def __init__(self, database: Database, folders: Folders) -> None:
        super().__init__(database, folders)
        self._supposed: list[Evaluation] = []
        self._superseded: set[str] = set()

    def add(self, evaluation: Evaluation, files: Path | None = None, *, supersedes: str | None = None) -> None:
        """Add a simulated evaluation."""
        self._supposed.append(evaluation)
        if supersedes is not None:
            self._superseded.add(supersedes)

    def history(
        self,
        store: str,
        last: int | None = None,
        *,
        metrics: Sequence[str] | None = None,
        where: EvaluationFilter | None = None,
    ) -> list[Evaluation]:
        """Return the evaluations of a store (the `last` of them), oldest first."""
        where = where or EvaluationFilter()
        supposed = [one for one in self._list(store) if where.accepts(one)]
        most = None if last is None else last + len(self._superseded)
        found = [*super().history(store, most, metrics=metrics, where=where), *supposed]
        kept = [one for one in found if where.superseded or one.id not in self._superseded]
        kept.sort(key=lambda one: one.order)
        return kept if last is None else kept[-last:]

    def get(self, id: str) -> Evaluation:  # noqa: A002  the field of Evaluation has this name
        """Return one evaluation."""
        return next((one for one in self._supposed if one.id == id), None) or super().get(id)

    def list_facts(self, store: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` evaluations, newest first."""
        supposed = [PastFacts(one.name, one.facts) for one in reversed(self._list(store))]
        return [*supposed, *super().list_facts(store, last)][:last]

    def _list(self, store: str) -> list[Evaluation]:
        return [one for one in self._supposed if one.store == store]


class _SupposedModelVersions(ModelVersions):
    """The stored model versions and the simulated ones, which have no trained model."""

    def __init__(self, database: Database, folders: Folders, temporary: Path) -> None:
        super().__init__(database, folders)
        self._folder = temporary / "models"
        self._supposed: list[ModelVersion] = []
        self._active: dict[str, ModelVersion] = {}

    def add(
        self,
        model: str,
        fingerprint: str,
        files: Path,
        facts: Mapping[str, Any] | None = None,
        identity: str | None = None,
    ) -> ModelVersion:
        """Add a simulated version of `model` with the folder `files`."""
        newest = self.find_newest(model)
        version = newest.version + 1 if newest else 1
        identity = identity or f"{fingerprint}.{version}"
        folder = _keep_files(files, self._folder)
        made = ModelVersion(model, version, fingerprint, self._database.now(), folder, identity, facts or {})
        self._supposed.append(made)
        return made

    def confirm(self, version: ModelVersion, libraries: Mapping[str, str]) -> None:
        """Record nothing."""

    def find_active(self, model: str, revision: int) -> ModelVersion | None:
        """Return the active version of `model` in a revision; None if the training data decide."""
        return self._active.get(model) or super().find_active(model, revision)

    def activate(self, version: ModelVersion, by: str, revision: int) -> None:
        """Simulate that a version becomes the active one."""
        self._active[version.model] = version

    def list_versions(self, model: str, fingerprint: str) -> list[ModelVersion]:
        """Return the versions of `model` with that fingerprint, newest first."""
        supposed = [one for one in self._list(model) if one.fingerprint == fingerprint]
        return [*supposed, *super().list_versions(model, fingerprint)]

    def find_newest(self, model: str) -> ModelVersion | None:
        """Return the newest version of `model`, or None."""
        return next(iter(self._list(model)), None) or super().find_newest(model)

    def find(self, model: str, version: int) -> ModelVersion | None:
        """Return that version of `model`, or None."""
        return next((one for one in self._list(model) if one.version == version), None) or super().find(model, version)

    def list_facts(self, model: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` versions, newest first."""
        supposed = [PastFacts(str(one.version), one.facts) for one in self._list(model)]
        return [*supposed, *super().list_facts(model, last)][:last]

    def _list(self, model: str) -> list[ModelVersion]:
        return [one for one in reversed(self._supposed) if one.model == model]


class _SupposedSnapshots(Snapshots):
    """The stored snapshots and the simulated ones, which have no content."""

    def __init__(self, database: Database, temporary: Path) -> None:
        super().__init__(database)
        self._folder = temporary / "snapshots"
        self._supposed: dict[str, Path] = {}

    def find(self, fingerprint: str) -> Path | None:
        """Return the folder of this fingerprint, or None."""
        return self._supposed.get(fingerprint) or super().find(fingerprint)

    def add(self, fingerprint: str, files: Path) -> None:
        """Add a simulated snapshot with the folder `files`."""
        self._supposed[fingerprint] = _keep_files(files, self._folder)


class _SupposedMeasurements(Measurements):
    """The stored measurements and the simulated ones, whose facts are known."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._supposed: list[tuple[str, str, dict[str, MetricValue], Mapping[str, Any]]] = []

    def add(
        self,
        dataset: str,
        fingerprint: str,
        values: Mapping[str, MetricValue],
        run: str | None,
        facts: Mapping[str, Any] | None = None,
        measured: datetime | None = None,
    ) -> None:
        """Add a simulated measurement of a dataset."""
        self._supposed.append((dataset, fingerprint, dict(values), facts or {}))

    def find(self, dataset: str, fingerprint: str) -> tuple[dict[str, MetricValue], datetime] | None:
        """Return the last metrics measured on content with this fingerprint, and when they were measured, or None."""
        equal = [values for name, of, values, _ in self._supposed if (name, of) == (dataset, fingerprint)]
        return (equal[-1], self._database.now()) if equal else super().find(dataset, fingerprint)

    def list_facts(self, dataset: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` measurements, newest first."""
        supposed = [PastFacts(name, facts) for name, _, _, facts in reversed(self._supposed) if name == dataset]
        return [*supposed, *super().list_facts(dataset, last)][:last]


class _SupposedKeptRows(KeptRowsRecords):
    """The records of rows, of which simulated ones take precedence over stored ones."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._supposed: dict[tuple[str, str], KeptRows] = {}

    def find(self, dataset: str, place: str) -> KeptRows | None:
        """Return the record of the last rows of a dataset written to a place, or None."""
        return self._supposed.get((dataset, place)) or super().find(dataset, place)

    def replace(self, dataset: str, place: str, written: KeptRows, run: str | None) -> None:
        """Simulate that rows are written."""
        self._supposed[dataset, place] = written


class _SupposedChecks(Checks):
    """The stored check results; a plan adds none."""

    def add(self, run: str | None, results: Sequence[CheckResult]) -> None:
        """Record nothing."""


def _keep_files(files: Path, target: Path) -> Path:
    with translate_errors(target):
        target.mkdir(exist_ok=True)
        return files.rename(target / secrets.token_hex(8))
