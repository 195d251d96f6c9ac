"""Versions of trained models, numbered 1, 2, 3 … per model. Their files are never overwritten.

Usually the training data and the settings decide which version is used. An active version overrides this: a deployment
uses the version of its release, and a model uses a promoted version, until it is built again. Active versions are
stored per revision of the deployment, so that those of the next revision can be written before it is active.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from engine.store.databases.database import Database
from engine.store.folders import Folders, safe_name
from engine.store.records.evaluations import PastFacts
from engine.store.records.models import ActiveModel, ModelVersion
from engine.store.tables import active_models, model_versions, unfinished_folders


class ModelVersions:
    """The model versions of a project."""

    def __init__(self, database: Database, folders: Folders) -> None:
        self._database = database
        self._folders = folders

    def add(
        self,
        model: str,
        fingerprint: str,
        files: Path,
        facts: Mapping[str, Any] | None = None,
        identity: str | None = None,
    ) -> ModelVersion:
        """Insert the next version of `model`, whose files are the folder `files` (from `staging`).

        Parameters
        ----------
        facts
            The input of the fingerprint, and further facts about the version (see `ModelVersion`).
        identity
            The digest of the model's content, which is the same in every state; by default made from the fingerprint
            and the number, and so valid only in this state.
        """

        def free(connection: Connection) -> str:
            newest = select(func.coalesce(func.max(model_versions.c.version), 0))
            first = connection.scalars(newest.where(model_versions.c.model == model)).one() + 1
            taken = set(connection.scalars(select(unfinished_folders.c.path)))  # by processes that are adding one
            paths = (f"models/{safe_name(model)}/{number}" for number in count(first))
            # a folder without a row belongs to a lost database
            return next(path for path in paths if path not in taken and not (self._database.folder / path).exists())

        created = self._database.now()
        with self._folders.adopt(files, free) as (connection, path):
            version = int(Path(path).name)
            identity = identity or f"{fingerprint}.{version}"
            connection.execute(
                insert(model_versions).values(
                    model=model,
                    version=version,
                    fingerprint=fingerprint,
                    created=created,
                    path=path,
                    facts=facts or {},
                    identity=identity,
                )
            )
        return ModelVersion(model, version, fingerprint, created, self._database.folder / path, identity, facts or {})

    def confirm(self, version: ModelVersion, libraries: Mapping[str, str]) -> None:
        """Record that a version was confirmed to work with these versions of libraries, which did not save it."""
        of_version = (model_versions.c.model == version.model) & (model_versions.c.version == version.version)
        if self._database.unwritable is not None:
            return
        facts = {**version.facts, "confirmed": dict(libraries)}
        with self._database.begin_write() as connection:
            connection.execute(update(model_versions).where(of_version).values(facts=facts))

    def list_versions(self, model: str, fingerprint: str) -> list[ModelVersion]:
        """Return the versions of `model` with that fingerprint, newest first."""
        return self._list_versions(model, model_versions.c.fingerprint == fingerprint)

    def find_newest(self, model: str) -> ModelVersion | None:
        """Return the newest version of `model`, or None."""
        return next(iter(self._list_versions(model)), None)

    def find(self, model: str, version: int) -> ModelVersion | None:
        """Return that version of `model`, or None."""
        return next(iter(self._list_versions(model, model_versions.c.version == version)), None)

    def find_same(self, model: str, identity: str) -> ModelVersion | None:
        """Return the first version of `model` with that identity, or None; training can give the same model again."""
        return next(reversed(self._list_versions(model, model_versions.c.identity == identity)), None)

    def find_active(self, model: str, revision: int) -> ModelVersion | None:
        """Return the active version of `model`; None if the training data decide.

        `revision` is that of the deployment; 0 for a project that is not deployed.
        """
        version = next((one.version for one in self.list_active(revision) if one.model == model), None)
        return None if version is None else self.find(model, version)

    def list_active(self, revision: int) -> list[ActiveModel]:
        """Return the active versions in a revision of a deployment, by the names of the models."""
        with self._database.begin_read() as connection:
            return _read_active(connection, revision)

    def activate(self, version: ModelVersion, by: str, revision: int) -> None:
        """Make a version the active one in a revision, because the run `by` has built or promoted it."""
        with self._database.begin_write() as connection:
            self._write_active(connection, {version.model: version.version}, by, revision)

    def replace_active(self, versions: Mapping[str, int], by: str, revision: int) -> None:
        """Make the versions of the release `by` the active ones in a revision; other models have none any more.

        Other revisions are not changed, so the models change at the same moment as the active revision.
        """
        with self._database.begin_write() as connection:
            without = dict.fromkeys(one.model for one in _read_active(connection, revision))
            self._write_active(connection, {**without, **versions}, by, revision)

    def continue_active(self, before: int, revision: int) -> None:
        """Copy the active versions of one revision to the next."""
        with self._database.begin_write() as connection:
            for one in _read_active(connection, before):
                self._write_active(connection, {one.model: one.version}, one.by, revision, one.since)

    def _write_active(
        self,
        connection: Connection,
        versions: Mapping[str, int | None],
        by: str,
        revision: int,
        since: datetime | None = None,
    ) -> None:
        of_revision = active_models.c.revision == revision
        connection.execute(delete(active_models).where(of_revision & active_models.c.model.in_(versions)))
        at = {"revision": revision, "since": since or self._database.now(), "by": by}
        rows = [{"model": name, "version": number, **at} for name, number in versions.items()]
        if rows:
            connection.execute(insert(active_models), rows)

    def list_facts(self, model: str, last: int) -> list[PastFacts]:
        """Return the facts behind the fingerprints of the `last` versions, newest first."""
        query = select(model_versions.c.version, model_versions.c.facts).where(model_versions.c.model == model)
        with self._database.begin_read() as connection:
            rows = connection.execute(query.order_by(model_versions.c.version.desc()).limit(last)).all()
        return [PastFacts(str(version), facts) for version, facts in rows]

    def _list_versions(self, model: str, *conditions: Any) -> list[ModelVersion]:
        query = select(model_versions).where(model_versions.c.model == model, *conditions)
        with self._database.begin_read() as connection:
            rows = connection.execute(query.order_by(model_versions.c.version.desc())).all()
        return [
            ModelVersion(
                row.model,
                row.version,
                row.fingerprint,
                row.created,
                self._database.folder / row.path,
                row.identity,
                row.facts,
            )
            for row in rows
        ]


def _read_active(connection: Connection, revision: int) -> list[ActiveModel]:
    """Return the active versions in a revision; rows with revision 0 come from before revisions were recorded."""
    query = select(active_models).where(active_models.c.revision.in_((0, revision)))
    rows = connection.execute(query.order_by(active_models.c.model, active_models.c.revision)).all()
    newest = {row.model: ActiveModel(row.model, row.version, row.since, row.by) for row in rows}
    return list(newest.values())
