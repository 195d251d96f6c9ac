"""The files that a run started by a trigger would read now.

A path with variables is resolved as in the run: with the values of the trigger, else those of the project or of the
command line, else the defaults of the scenario; moment variables have their present values. Values that a loop or a
step sets during the run are not known.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from glob import has_magic
from os.path import normpath
from pathlib import Path

from engine.connections.object_store import ObjectFolder, StoredObject
from engine.connections.object_tree import list_object_tree
from engine.digests import digest_file, digest_texts
from engine.discovery.listing import list_named_files
from engine.discovery.newest import pick_newest
from engine.discovery.path_patterns import find_fixed_folder
from engine.errors import DataError
from engine.file_identity import FileIdentity
from engine.service.sources.ignored_files import is_temporary
from engine.service.sources.watched_sources import WatchedSource, is_of_several_files
from engine.spec import ProjectSpec, sql
from engine.spec.dataset_inputs import list_inputs
from engine.spec.opened_connections import open_object_folder
from engine.spec.resources.connections import FileConnection, S3Connection
from engine.spec.resources.datasets import PythonDataset, QueryDataset
from engine.spec.resources.triggers import DatasetChangedTrigger, QueryChangedTrigger
from engine.spec.secrets.values import Secrets
from engine.spec.stored_data import name_object_root
from engine.spec.variables.moment import list_moment_values
from engine.spec.variables.references import find_references

DataTrigger = DatasetChangedTrigger | QueryChangedTrigger

States = dict[Path, FileIdentity]
"""The identities of files, sorted by path."""

_PLACE_KEYS = ("root", "endpoint", "bucket", "prefix")
"""The keys of connections that are part of a file's location."""


@dataclass(frozen=True, slots=True)
class DatasetSource(WatchedSource):
    """The files that a dataset reads now.

    Attributes
    ----------
    declared
        The path with its root as declared in the spec, with variables resolved.
    format
        The declared format.
    newest_until
        If given, only the newest file that is not of a later day than this is read.
    """

    declared: str = ""
    format: str | None = None
    newest_until: datetime | None = field(default=None, compare=False)

    def list_files(self) -> list[Path]:
        """Return the existing files of a folder or pattern, without the marker; for a single file, always its path.

        Raises
        ------
        OSError
            A folder cannot be read.
        DataError
            Every file is of a later day.
        """
        if not self.several:
            return [self.path]
        found = [one for one in list_named_files(self.path, self.format) if one != self.marker_path]
        if self.newest_until is None:
            return found
        filled = [one for one in found if one.stat().st_size]
        base = self.path if self.path.is_dir() else self.folder
        return pick_newest(filled, base, self.newest_until)[0] if filled else []

    def read_states(self) -> States:
        """Return the identities of the files; raises OSError and DataError as `list_files`."""
        return read_file_states(self.list_files())

    def read_marker(self) -> FileIdentity | None:
        """Return the state of the marker; None if there is none."""
        return read_file_states([self.marker_path]).get(self.marker_path) if self.marker_path else None

    def digest(self, path: Path, state: FileIdentity) -> str:
        """Return the digest of the content of a file."""
        return digest_file(path)


@dataclass(frozen=True, slots=True)
class ObjectSource(DatasetSource):
    """The objects of an object store that a dataset reads now, with paths as placeholders.

    Identity and content of an object come from the listing, with its ETag as the digest of the content: nothing is
    downloaded.
    """

    root: Path = Path()
    store: ObjectFolder | None = field(default=None, compare=False)

    @property
    def folder(self) -> Path:
        """The folder in which, or below which, the objects are."""
        if has_magic(str(self.path)):
            return find_fixed_folder(self.path)
        return self.path if self.several else self.path.parent

    def read_states(self) -> States:
        """Return the identities of the objects; raise DataError if they cannot be listed."""
        tree = list_object_tree(self._opened, self.root, self.declared)
        path = self.path
        found = [one for one in list_named_files(path, self.format, tree) if tree.is_file(one)]
        found = [one for one in found if one != self.marker_path]
        if self.newest_until is not None and len(found) > 1:
            base = path if tree.is_folder(path) else find_fixed_folder(path)
            filled = [one for one in found if tree.read_size(one)]
            found = pick_newest(filled, base, self.newest_until, tree)[0] if filled else []
        return {one: _describe_state(tree.objects[one]) for one in found}

    def read_marker(self) -> FileIdentity | None:
        """Return the state of the marker; None if there is none."""
        if self.marker_path is None:
            return None
        found = self._opened.find_object(self.marker_path.relative_to(self.root).as_posix())
        return None if found is None else _describe_state(found)

    def digest(self, path: Path, state: FileIdentity) -> str:
        """Return a digest of an object's content, made from its ETag and size."""
        return f"{state.inode:x} {state.size}"

    @property
    def _opened(self) -> ObjectFolder:
        if self.store is None:
            raise TypeError("a source of objects needs their store")
        return self.store


def _describe_state(one: StoredObject) -> FileIdentity:
    """Return the identity of an object as that of a file, with a number made from its ETag instead of an inode."""
    changed = round(one.modified.timestamp() * 1e9)
    return FileIdentity(int(digest_texts(one.state)[:12], 16), one.size, changed, changed)


def read_file_states(paths: list[Path]) -> States:
    """Return the identities of files; missing and temporary files are left out.

    Raises
    ------
    OSError
        The status of a file cannot be read.
    DataError
        A path is a pipe, a device or a folder.
    """
    states = {}
    for path in paths:
        if is_temporary(path.name):
            continue
        try:
            found = os.stat(path)  # noqa: PTH116 - much faster than Path.stat, for 10,000 files
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{path} is not a regular file")
        states[path] = FileIdentity.from_stat(found)
    return states


def make_dataset_source(project: ProjectSpec, name: str, now: datetime, environ: Mapping[str, str]) -> DatasetSource:
    """Return the source of the files that a run that starts now would read for a dataset.

    Parameters
    ----------
    environ
        The environment variables with the secrets of connections.

    Raises
    ------
    EngineError
        The connection to its store cannot be opened.
    """
    dataset = project.find_file_dataset(name)
    if dataset is None:
        raise TypeError(f"dataset {name} has no files of its own")
    settle = dataset.settle.total_seconds() if dataset.settle is not None else None
    newest_until = now.astimezone(project.as_of.tzinfo) if dataset.pick == "newest" else None
    connection = project.connections[dataset.connection] if dataset.connection else None
    if dataset.connection and isinstance(connection, S3Connection):
        return ObjectSource(
            "data",
            Path(normpath(name_object_root(connection) / dataset.path)),
            f"dataset {name}",
            has_magic(dataset.path) or "." not in Path(dataset.path).name,
            settle,
            dataset.marker,
            whole=True,
            declared=dataset.path,
            format=dataset.format,
            newest_until=newest_until,
            root=name_object_root(connection),
            store=open_object_folder(project, dataset.connection, Secrets(project, environ)),
        )
    path = project.check_path(project.root_of("datasets", name, dataset.connection) / dataset.path)
    if dataset.marker:
        project.check_path((path if path.is_dir() else path.parent) / dataset.marker)
    root = connection.root if isinstance(connection, FileConnection) else ""
    return DatasetSource(
        "data",
        path,
        f"dataset {name}",
        is_of_several_files(path),
        settle,
        dataset.marker,
        declared=str(Path(root) / dataset.path),
        format=dataset.format,
        newest_until=newest_until,
    )


def list_trigger_datasets(trigger: DataTrigger) -> list[str]:
    """Return the names of the datasets of a trigger; empty if a database runs its query."""
    if isinstance(trigger, DatasetChangedTrigger):
        return trigger.datasets
    return [] if trigger.connection is not None else sorted(sql.list_tables(trigger.sql))


def find_sources(project: ProjectSpec, trigger: DataTrigger) -> dict[str, tuple[str, ...]]:
    """Return, per dataset of the trigger, the names of the file and table datasets that it reads."""
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


def reads_unwatched(project: ProjectSpec, trigger: DataTrigger) -> bool:
    """Return whether the trigger's data depend on a function or on Spark, whose results files do not show."""
    inputs = list_inputs(list_trigger_datasets(trigger), project.resources)
    return any(isinstance(project.datasets[one], PythonDataset) or project.find_spark_data(one) for one in inputs)


def list_query_inputs(project: ProjectSpec, trigger: QueryChangedTrigger, now: datetime) -> list[object]:
    """Return the inputs of a trigger's query besides data: all SQL texts, and the values of variables in them."""
    names = {**list_moment_values(now.astimezone(project.as_of.tzinfo)), **project.variables}
    texts = list(_list_queries(project, trigger))
    used = {name for text in texts for name in sql.list_sql_variables(text)}
    return [texts, {name: repr(names[name]) for name in sorted(used & names.keys())}]


def _list_queries(project: ProjectSpec, trigger: DataTrigger) -> Iterator[str]:
    """Yield the query of a trigger, and the queries of the datasets that it reads."""
    if isinstance(trigger, QueryChangedTrigger):
        yield trigger.sql
    for one in sorted(list_inputs(list_trigger_datasets(trigger), project.resources)):
        dataset = project.datasets[one]
        if isinstance(dataset, QueryDataset):
            yield dataset.sql


def resolve_project(
    project: ProjectSpec, scenario: str, trigger: DataTrigger, values: Mapping[str, str], now: datetime
) -> ProjectSpec:
    """Return the project with the variables of a run that starts now, if a trigger's data depend on variables.

    Parameters
    ----------
    values
        The values of variables that the trigger sets.

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
    """Return whether a watched path or the query of a trigger contains variables."""
    files = {one for names in find_sources(project, trigger).values() for one in names}
    connections = {one.connection for name in files if (one := project.find_file_dataset(name))}
    return (
        any(project.holds_variables("datasets", name, key) for name in files for key in ("path", "table"))
        or any(project.holds_variables("connections", name, key) for name in connections if name for key in _PLACE_KEYS)
        or (isinstance(trigger, QueryChangedTrigger) and any(map(find_references, _list_queries(project, trigger))))
    )
