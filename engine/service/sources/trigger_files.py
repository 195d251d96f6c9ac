"""Looks at all files and tables of a trigger; a look may take long, so it is done in a thread."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path

from engine.digests import digest_json
from engine.errors import EngineError
from engine.file_identity import FileIdentity
from engine.scenarios.requests import QueryRequest
from engine.service.sources.dataset_sources import (
    DataTrigger,
    find_sources,
    list_query_inputs,
    list_trigger_datasets,
    make_dataset_source,
    reads_unwatched,
    resolve_project,
)
from engine.service.sources.settling_files import FilesLook, SettlingFiles
from engine.service.sources.stored_tables import look_at_table
from engine.service.triggers.seen_files import DatasetsFound, SeenFiles
from engine.spec import ProjectSpec
from engine.spec.resources.triggers import QueryChangedTrigger
from engine.store import TriggerState


@dataclass(frozen=True, slots=True)
class TriggerFound:
    """The result of a look at the files of a trigger, and the request for its query.

    Attributes
    ----------
    wait
        The seconds until a change may have settled; infinite if this is not known.
    waits_for
        Sentences about changes that do not count yet, and what they wait for.
    changed
        The identities of the changed files; None for deleted ones.
    took
        The duration of the look in seconds.
    inputs
        The digest of the query's inputs besides files.
    request
        The request to compute the query; None for a trigger without query.
    always
        Whether the result may change although files and inputs are the same.
    """

    found: DatasetsFound
    wait: float = math.inf
    waits_for: tuple[str, ...] = ()
    changed: Mapping[Path, FileIdentity | None] = field(default_factory=dict)
    took: float = 0.0
    inputs: str = ""
    request: QueryRequest | None = None
    always: bool = False


class TriggerFiles:
    """The files and tables that a trigger watches.

    Parameters
    ----------
    clock
        A monotonic clock in seconds.
    environ
        The environment variables with the secrets of connections to databases.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, environ: Mapping[str, str] = os.environ) -> None:
        self._clock, self._environ = clock, environ
        self._files: dict[str, SettlingFiles] = {}
        self._resolved: tuple[ProjectSpec, date, ProjectSpec] | None = None

    def look(
        self,
        project: ProjectSpec,
        trigger: DataTrigger,
        state: TriggerState,
        values: Mapping[str, str],
        now: datetime,
    ) -> TriggerFound:
        """Look at all files and tables, and compare them with the state of the trigger.

        Parameters
        ----------
        values
            The values of variables that the trigger sets for its run.

        Raises
        ------
        SpecError
            The spec is not valid with these values.
        """
        began = self._clock()
        present = self._resolve(project, state.scenario, trigger, values, now)
        sources = find_sources(present, trigger)
        kept = state.seen.get("files", {})
        looks: dict[str, FilesLook] = {}
        for name in sorted({one for names in sources.values() for one in names}):
            known = SeenFiles(**kept[name]) if name in kept else None
            if present.find_table(name):
                looks[name] = self._look_at_table(present, name, known)
                continue
            looks[name] = self._look_at_files(present, name, known, now)
        found = TriggerFound(
            DatasetsFound(
                sources,
                {name: look.seen for name, look in looks.items() if look.seen is not None},
                {name: look.error for name, look in looks.items() if look.error},
                [name for name, look in looks.items() if look.writing],
            ),
            wait=min((look.wait for look in looks.values()), default=math.inf),
            waits_for=tuple(look.waits_for for look in looks.values() if look.waits_for),
            changed={path: file for look in looks.values() for path, file in look.changed.items()},
            took=self._clock() - began,
        )
        if not isinstance(trigger, QueryChangedTrigger):
            return found
        return replace(
            found,
            inputs=digest_json(list_query_inputs(present, trigger, now)),
            request=QueryRequest(
                spec=present.path,
                variables=dict(present.overrides),
                as_of=now,
                sql=trigger.sql,
                connection=trigger.connection,
            ),
            always=trigger.connection is not None or reads_unwatched(present, trigger),
        )

    def _look_at_files(self, project: ProjectSpec, name: str, known: SeenFiles | None, now: datetime) -> FilesLook:
        files = self._files.setdefault(name, SettlingFiles(self._clock))
        try:
            return files.look(make_dataset_source(project, name, now, self._environ), known)
        except EngineError as error:  # the connection to its store cannot be opened
            return FilesLook(error=f"dataset {name}: {error}")

    def _look_at_table(self, project: ProjectSpec, name: str, known: SeenFiles | None) -> FilesLook:
        try:
            return FilesLook(look_at_table(project, name, known, self._environ))
        except EngineError as error:
            return FilesLook(None, error=str(error))

    def _resolve(
        self, project: ProjectSpec, scenario: str, trigger: DataTrigger, values: Mapping[str, str], now: datetime
    ) -> ProjectSpec:
        """Return the project with the variables of a run today, cached for the day because it is slow."""
        day = now.astimezone(project.as_of.tzinfo).date()
        if self._resolved is None or self._resolved[0] is not project or self._resolved[1] != day:
            self._resolved = project, day, resolve_project(project, scenario, trigger, values, now)
        return self._resolved[2]


def describe_failed_look(trigger: DataTrigger, state: TriggerState, error: Exception | None) -> TriggerFound:
    """Return the result of a look that has failed as a whole, with the error."""
    text = str(error) if isinstance(error, EngineError | OSError) else f"the check of the data has failed: {error!r}"
    names = list_trigger_datasets(trigger) or ["the query"]
    sources = {name: (name, *state.seen.get("files", {})) for name in names}
    return TriggerFound(DatasetsFound(sources, {}, {names[0]: text}))
