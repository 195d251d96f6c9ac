"""The paths that a project reads: its spec files, the Python files beside them, the files of its datasets and models.

The path of a dataset may contain variables that are changed during a run. Each of these matches any text here, so that
all files that a run may read are watched, and perhaps more; the plan decides what a change affects.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

from engine.discovery.listing import list_candidate_files
from engine.discovery.path_patterns import find_fixed_folder
from engine.scenarios.run_reasons import ChangedPart
from engine.spec import ProjectSpec
from engine.spec.resources.channels import DatasetChannel, FileChannel
from engine.spec.resources.connections import S3Connection
from engine.spec.resources.datasets import FileDataset, PythonDataset
from engine.spec.resources.models import SkopsModel
from engine.spec.resources.resource import Resource
from engine.spec.resources.scenarios import ExportStep, ReportStep, RunScenarioStep, SetVariablesStep
from engine.spec.variables.references import fill_references


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """A path whose files are watched.

    Attributes
    ----------
    owner
        The dataset or model that reads the files, as text; empty for spec files and Python files.
    several
        Whether several files belong together: those of a folder or of a pattern.
    settle
        The declared seconds for which a changed file must stay unchanged; None if not declared.
    marker
        The name of the file that is written after all others are complete, or None.
    whole
        Whether a file appears only with its complete content, as an object of an object store does.
    """

    part: ChangedPart
    path: Path
    owner: str = ""
    several: bool = False
    settle: float | None = None
    marker: str | None = None
    whole: bool = False

    @property
    def folder(self) -> Path:
        """The folder that contains the files, directly or in subfolders."""
        if self.part == "code" or os.path.isdir(self.path):  # noqa: PTH112 - Path.is_dir raises in a closed folder
            return self.path
        return find_fixed_folder(self.path) if self._is_pattern() else self.path.parent

    def _is_pattern(self) -> bool:
        return self.part == "data" and has_magic(str(self.path)) and not os.path.exists(self.path)  # noqa: PTH110 - as above

    def list_folders(self) -> dict[Path, bool]:
        """Return the folders in which files can appear or change, and for each whether its subfolders are included."""
        if self.part == "code":
            return dict.fromkeys([self.path, *(path.parent for path in _list_python_files(self.path))], False)
        folder = self.folder
        below = self.path.relative_to(folder).parts
        return {folder: self.path == folder or "**" in below or len(below) > 1}

    def list_files(self) -> list[Path]:
        """Return the existing files, with the marker; raise OSError if a folder cannot be read."""
        if self.part == "code":
            return _list_python_files(self.path)
        files = [self.path] if not self.several and not self._is_pattern() else list_candidate_files(self.path)
        return [*files, self.marker_path] if self.marker_path else files

    @property
    def marker_path(self) -> Path | None:
        """The marker's path, in the folder of the dataset."""
        return self.folder / self.marker if self.marker else None


def find_watched_sources(project: ProjectSpec) -> list[WatchedSource]:
    """Return the sources of a project: spec files first, then Python files, then data files."""
    folders = {project.folder_of(section, name) for section, name, _ in _list_functions(project)}
    varying = _list_varying_variables(project)
    sources = [WatchedSource("spec", path) for path in project.files]
    sources += [WatchedSource("code", folder) for folder in sorted(folders)]
    for name in project.datasets:
        dataset = project.find_file_dataset(name)
        if dataset is not None and not is_in_store(project, dataset):
            path = _make_pattern(project, ("datasets", name), dataset, varying)
            several = is_of_several_files(project.root_of("datasets", name, dataset.connection) / dataset.path)
            settle = dataset.settle.total_seconds() if dataset.settle is not None else None
            sources.append(WatchedSource("data", path, f"dataset {name}", several, settle, dataset.marker))
    for name, model in project.models.items():
        if isinstance(model, SkopsModel):
            sources.append(
                WatchedSource("data", _make_pattern(project, ("models", name), model, varying), f"model {name}")
            )
    return sources


def is_in_store(project: ProjectSpec, dataset: FileDataset) -> bool:
    """Return whether the files of a dataset are objects of an object store."""
    return dataset.connection is not None and isinstance(project.connections[dataset.connection], S3Connection)


def is_of_several_files(path: Path) -> bool:
    """Return whether a path of a dataset stands for the files of a folder, or those that match a pattern."""
    return os.path.isdir(path) or (has_magic(str(path)) and not os.path.isfile(path))  # noqa: PTH112, PTH113 - as above


def describe_unwatched(project: ProjectSpec) -> list[str]:
    """Return sentences about data that cannot be watched: the inputs of functions, and files that runs write."""
    made = [name for name, dataset in project.datasets.items() if isinstance(dataset, PythonDataset)]
    sentences = [
        f"dataset {name}: the Python file of its function is watched, but not what the function reads" for name in made
    ]
    sentences += [
        f"dataset {name}: the table {table[1]} of connection {table[0]} is not watched, only files are"
        for name in project.datasets
        if (table := project.find_table(name))
    ]
    sentences += [
        f"dataset {name}: the objects of connection {dataset.connection} are not watched, only files are"
        for name in project.datasets
        if (dataset := project.find_file_dataset(name)) and is_in_store(project, dataset)
    ]
    sentences += [
        f"dataset {name}: what Spark reads in connection {place.connection} is not watched, only files are"
        for name in project.datasets
        if (place := project.find_spark_data(name))
    ]
    outputs = find_outputs(project)
    sentences += [
        f"{source.owner}: runs write {inside}, so {source.path} is not watched"
        for source in find_watched_sources(project)
        for inside in outputs
        if source.part == "data" and inside in (make_absolute(source.path), *make_absolute(source.path).parents)
    ]
    return sentences


def find_outputs(project: ProjectSpec) -> set[Path]:
    """Return the absolute paths of the folders and files that runs of a project write according to the spec."""
    channels = ((name, getattr(channel, "fallback", None) or channel) for name, channel in project.channels.items())
    found = [
        project.home / project.state.path,
        *(
            project.home_of("channels", name) / one.path
            for name, one in channels
            if isinstance(one, FileChannel | DatasetChannel)
        ),
        *(
            file
            for name, scenario in project.scenarios.items()
            for step in scenario.steps
            if isinstance(step, ReportStep | ExportStep) and (file := project.locate_written_file(name, step))
        ),
        *(file for name in project.datasets if (file := project.locate_kept_file(name))),
    ]
    return set(map(make_absolute, found))


def make_absolute(path: Path) -> Path:
    """Return an absolute path without `..`, without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute leaves the dots in, and resolve follows links


def _list_functions(project: ProjectSpec) -> Iterator[tuple[str, str, str]]:
    """Yield section, name and function of every resource with a function of the user."""
    for section in ("datasets", "models", "evaluation_stores", "scenarios"):
        for name, resource in getattr(project, section).items():
            for function in _walk_functions(resource):
                yield section, name, function


def _walk_functions(value: Any) -> Iterator[str]:
    if isinstance(value, Resource):
        function = getattr(value, "function", None)
        if isinstance(function, str):
            yield function
        for key in type(value).model_fields:
            yield from _walk_functions(getattr(value, key))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _walk_functions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk_functions(item)


def _list_python_files(folder: Path) -> list[Path]:
    """Return the modules of a folder, and those of its packages."""
    files = list(folder.glob("*.py"))
    for inside in folder.glob("*/__init__.py"):
        files += inside.parent.rglob("*.py")
    return files


def _list_varying_variables(project: ProjectSpec) -> set[str]:
    """Return the names of the variables that can change during a run."""
    found: set[str] = set()
    for scenario in project.scenarios.values():
        found |= scenario.variables.keys()
        found.update(*(values.keys() for values in scenario.for_each or ()))
        for step in scenario.steps:
            if isinstance(step, SetVariablesStep | RunScenarioStep):
                found |= step.variables.keys()
    return found


def _make_pattern(
    project: ProjectSpec, place: tuple[str, str], resource: FileDataset | SkopsModel, varying: set[str]
) -> Path:
    """Return the path of a resource, with `*` for each variable that can change during a run."""
    root = project.folder_of(*place)
    if resource.connection is not None:
        connection = ("connections", resource.connection)
        root = project.folder_of(*connection) / _fill(project, (*connection, "root"), varying)
    return root / _fill(project, (*place, "path"), varying)


def _fill(project: ProjectSpec, place: tuple[str, ...], varying: set[str]) -> str:
    fixed = {name: value for name, value in project.variables.items() if name not in varying}
    return fill_references(project.written_text(*place), fixed, lambda _: "*")
