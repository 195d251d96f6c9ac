"""The files that a run started by a trigger would read now: those of its datasets, with its values of variables.

A path with variables is resolved as the run resolves it: by the values of the trigger, else those of the project or of
the command line, else the defaults of the scenario; the names of the moment are those of now. Values that a loop or a
step sets during the run are not known before it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from os import walk
from pathlib import Path

from engine.discovery.listing import list_named_files
from engine.discovery.newest import pick_newest
from engine.service.watched_sources import WatchedSource, is_of_several_files
from engine.spec import ProjectSpec, sql
from engine.spec.dataset_inputs import list_inputs
from engine.spec.moment import list_moment_values
from engine.spec.resources.connections import FileConnection
from engine.spec.resources.datasets import PythonDataset, QueryDataset
from engine.spec.resources.triggers import DatasetChangedTrigger, QueryChangedTrigger
from engine.spec.variable_references import find_references

DataTrigger = DatasetChangedTrigger | QueryChangedTrigger


@dataclass(frozen=True, slots=True)
class DatasetSource(WatchedSource):
    """The files that a dataset reads now.

    Attributes
    ----------
    declared
        The path with its root as the spec declares them, with their variables filled in.
    format
        The declared format.
    newest_until
        If given, only the newest file is read, and none of a later day than this.
    """

    declared: str = ""
    format: str | None = None
    newest_until: datetime | None = field(default=None, compare=False)

    def list_files(self) -> list[Path]:
        """Return the files of a folder or pattern that exist now, without the marker; or the path, also of no file.

        Raises
        ------
        OSError
            A folder cannot be read.
        DataError
            Every file is of a later day.
        """
        if not self.several:
            return [self.path]
        self._check_folders()
        found = [one for one in list_named_files(self.path, self.format) if one != self.marker_path]
        if self.newest_until is None:
            return found
        filled = [one for one in found if one.stat().st_size]
        base = self.path if self.path.is_dir() else self.folder
        return pick_newest(filled, base, self.newest_until)[0] if filled else []

    def _check_folders(self) -> None:
        """Raise an OSError if a folder cannot be read: its files would seem to be gone."""
        base = self.path if self.path.is_dir() else self.folder
        below = self.path.relative_to(base).parts
        levels = math.inf if not below or "**" in below else len(below)
        for folder, folders, _ in walk(base, onerror=_raise_unless_missing):
            if len(Path(folder).relative_to(base).parts) + 1 >= levels:
                folders.clear()


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def make_dataset_source(project: ProjectSpec, name: str, now: datetime) -> DatasetSource:
    """Return the files of a dataset of files, for a run that starts now."""
    dataset = project.find_file_dataset(name)
    if dataset is None:
        raise TypeError(f"dataset {name} has no files of its own")
    root_of = project.root_of("datasets", name, dataset.connection)
    path = project.check_path(root_of / dataset.path)
    if dataset.marker:
        project.check_path((path if path.is_dir() else path.parent) / dataset.marker)
    connection = project.connections[dataset.connection] if dataset.connection else None
    root = connection.root if isinstance(connection, FileConnection) else ""
    return DatasetSource(
        "data",
        path,
        f"dataset {name}",
        is_of_several_files(path),
        dataset.settle.total_seconds() if dataset.settle is not None else None,
        dataset.marker,
        declared=str(Path(root) / dataset.path),
        format=dataset.format,
        newest_until=now.astimezone(project.as_of.tzinfo) if dataset.pick == "newest" else None,
    )


def list_trigger_datasets(trigger: DataTrigger) -> list[str]:
    """Return the names of the datasets that a trigger names."""
    return trigger.datasets if isinstance(trigger, DatasetChangedTrigger) else sorted(sql.list_tables(trigger.sql))


def find_sources(project: ProjectSpec, trigger: DataTrigger) -> dict[str, tuple[str, ...]]:
    """Return, by name of a dataset of the trigger, the names of the datasets of files and of tables that it reads."""
    return {
        name: tuple(
            sorted(
                one
                for one in list_inputs([name], project.resources)
                if project.find_file_dataset(one) or project.find_table(one)
            )
        )
        for name in list_trigger_datasets(trigger)
    }


def reads_functions(project: ProjectSpec, trigger: DataTrigger) -> bool:
    """Tell whether a function of the user's is among what a trigger looks at: files do not tell what it returns."""
    inputs = list_inputs(list_trigger_datasets(trigger), project.resources)
    return any(isinstance(project.datasets[one], PythonDataset) for one in inputs)


def list_query_inputs(project: ProjectSpec, trigger: QueryChangedTrigger, now: datetime) -> list[object]:
    """Return what the result of a trigger's query depends on besides data: all SQL, and the values that it uses."""
    names = {**list_moment_values(now.astimezone(project.as_of.tzinfo)), **project.variables}
    texts = list(_list_queries(project, trigger))
    used = {name for text in texts for name in sql.list_sql_variables(text)}
    return [texts, {name: repr(names[name]) for name in sorted(used & names.keys())}]


def _list_queries(project: ProjectSpec, trigger: DataTrigger) -> Iterator[str]:
    """Yield the query of a trigger, and those of the datasets that it reads."""
    if isinstance(trigger, QueryChangedTrigger):
        yield trigger.sql
    for one in sorted(list_inputs(list_trigger_datasets(trigger), project.resources)):
        dataset = project.datasets[one]
        if isinstance(dataset, QueryDataset):
            yield dataset.sql


def resolve_project(
    project: ProjectSpec, scenario: str, trigger: DataTrigger, values: Mapping[str, str], now: datetime
) -> ProjectSpec:
    """Return the project as a run of now has it, as far as that plays a part for what a trigger looks at.

    Parameters
    ----------
    values
        Those that the trigger gives to its run.

    Raises
    ------
    SpecError
        The spec is not valid with these values.
    """
    if not _uses_variables(project, trigger):
        return project
    present = project.with_moment(now.astimezone(project.as_of.tzinfo))
    defaults = present.scenarios[scenario].variables
    given = {**{name: value for name, value in defaults.items() if name not in present.overrides}, **values}
    return present.with_variables(given) if given else present


def _uses_variables(project: ProjectSpec, trigger: DataTrigger) -> bool:
    """Tell whether a path that a trigger looks at, or its query, holds variables."""
    files = {one for names in find_sources(project, trigger).values() for one in names}
    connections = {one.connection for name in files if (one := project.find_file_dataset(name))}
    return (
        any(project.holds_variables("datasets", name, key) for name in files for key in ("path", "table"))
        or any(project.holds_variables("connections", name, "root") for name in connections if name)
        or (isinstance(trigger, QueryChangedTrigger) and any(map(find_references, _list_queries(project, trigger))))
    )
