"""A project as declared by its spec: frozen and validated.

The project keeps its tree, from which it is resolved and validated again for other values of variables.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.digests import digest_texts
from engine.errors import Diagnostic, Position, RefusedPathError, Severity, SpecError, UsageError
from engine.spec.code_folder import CodeFolder
from engine.spec.diagnostics import Findings
from engine.spec.project_yaml import render_project
from engine.spec.reading.project_reading import read_project, resolve_variables
from engine.spec.reading.tried_settings import TriedSettings, replace_check_settings
from engine.spec.resources.channels import Channel
from engine.spec.resources.connections import Connection, FileConnection, S3Connection
from engine.spec.resources.datasets import AnyDataset, FileDataset
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec
from engine.spec.resources.models import AnyModel
from engine.spec.resources.project import ProjectResource, Secret, Server, State
from engine.spec.resources.scenarios import ExportStep, ReportStep, Scenario
from engine.spec.revisions.revision_file import Revision, follow_link
from engine.spec.spec_files import SpecFiles, find_home
from engine.spec.stored_data import (
    DatabaseTable,
    StoredPlace,
    find_file_dataset,
    find_kept_place,
    find_spark_data,
    find_table,
    find_writers,
    name_object_root,
)
from engine.spec.variables.moment import list_moment_values
from engine.spec.variables.references import Value, find_references
from engine.spec.yaml.yaml_tree import ScalarNode, node_at, plain_value, position_at

if TYPE_CHECKING:
    from engine.spec.revisions.confinement import Confinement


class SecretSource(NamedTuple):
    """The source of a secret's value: an environment variable or a file."""

    env: str | None
    file: Path | None


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """A validated spec with variables filled in.

    Attributes
    ----------
    path
        Path of the spec file, as it was given.
    resources
        The resources, with variables filled in. Messages, conditions, SQL and secret texts are kept as written.
    variables
        Values of the variables, by name.
    as_of
        The moment of its runs, in the time zone of the project.
    warnings
        Findings that are not errors.
    """

    path: Path
    resources: ProjectResource
    variables: Mapping[str, Value]
    as_of: datetime
    warnings: tuple[Diagnostic, ...]
    _files: SpecFiles = field(repr=False)
    _overrides: Mapping[str, Value] = field(repr=False)
    _environ: Mapping[str, str] = field(repr=False)
    _confined: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def folder(self) -> Path:
        """The folder of the spec, to which read paths are relative."""
        return self._files.folder

    @property
    def home(self) -> Path:
        """The folder to which written paths are relative: that of the spec, except for a deployment."""
        return self._files.home

    @property
    def revision(self) -> Revision | None:
        """The deployed revision of this project; None if it is not a deployment."""
        return self._files.revision

    @property
    def revision_number(self) -> int:
        """The number of that revision, from 1; 0 if this project is not deployed."""
        return self.revision.number if self.revision else 0

    @property
    def confinement(self) -> "Confinement | None":
        """Its confinement on a node; None if it is on no node."""
        return self._files.confinement

    @property
    def overrides(self) -> Mapping[str, Value]:
        """The values that replace those of the spec."""
        return self._overrides

    @property
    def confined(self) -> frozenset[str]:
        """The variables whose values come from a request, so that they must not change addresses or leave folders."""
        return self._confined

    @property
    def names(self) -> Mapping[str, Value]:
        """All names for references in texts: the variables, and the names of the run's moment."""
        return {**list_moment_values(self.as_of), **self.variables}

    @property
    def name(self) -> str:
        return self.resources.project

    @property
    def datasets(self) -> dict[str, AnyDataset]:
        return self.resources.datasets

    @property
    def models(self) -> dict[str, AnyModel]:
        return self.resources.models

    @property
    def evaluation_stores(self) -> dict[str, EvaluationStoreSpec]:
        return self.resources.evaluation_stores

    @property
    def channels(self) -> dict[str, Channel]:
        return self.resources.channels

    @property
    def scenarios(self) -> dict[str, Scenario]:
        return self.resources.scenarios

    @property
    def connections(self) -> dict[str, Connection]:
        return self.resources.connections

    @property
    def secrets(self) -> dict[str, Secret]:
        return self.resources.secrets

    @property
    def state(self) -> State:
        return self.resources.state

    @property
    def server(self) -> Server | None:
        return self.resources.server

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the spec, of all files that it includes, and of its message files."""
        return tuple(self._files.paths)

    @property
    def digest(self) -> str:
        """The digest of the texts of these files, as they were read."""
        return digest_texts(*self._files.digests)

    def with_variables(self, values: Mapping[str, Value]) -> "ProjectSpec":
        """Return the project with other values of its variables; raise SpecError if that is invalid.

        It is validated again, unless the variables have these values already and none come from a request.
        """
        overrides = {**self._overrides, **values}
        present = {name: self.variables[name] for name in values if name in self.variables}
        same = present == values and all(type(present[name]) is type(value) for name, value in values.items())
        if same and not self._confined:
            return replace(self, _overrides=overrides)
        return _load_project(self.path, self._files, overrides, self._environ, self.as_of, self._confined)

    def confine(self, names: Collection[str]) -> "ProjectSpec":
        """Return the project with these variables marked as coming from a request.

        The requester of a run may not be the author of the spec. So with other values (`with_variables`) paths must
        stay inside their folders and addresses must not change; everything else may.
        """
        return replace(self, _confined=frozenset(names))

    def with_moment(self, as_of: datetime) -> "ProjectSpec":
        """Return the project at another moment, validated again; raise SpecError if that is invalid."""
        return _load_project(self.path, self._files, self._overrides, self._environ, as_of, self._confined)

    def resolve_variables(self, moment: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return the values of the variables at another moment, given the values of its names."""
        return resolve_variables(self._files, self._overrides, self._environ, moment, Findings()).values

    def with_check_settings(self, section: str, owner: str, tried: TriedSettings) -> "ProjectSpec":
        """Return the project with other settings of the checks of a dataset or an evaluation store.

        Its warnings are those caused by the settings.

        Raises
        ------
        UsageError
            The check or key does not exist, or the spec is invalid with these settings.
        """
        settings = {f"{check}.{key}={text}" for check, keys in tried.items() for key, text in keys.items()}
        files = replace(self._files, root=replace_check_settings(self._files.root, section, owner, tried))
        try:
            found = _load_project(self.path, files, self._overrides, self._environ, self.as_of, self._confined)
        except SpecError as wrong:
            problems = [f"{one.message}; {one.help}" if one.help else one.message for one in wrong.diagnostics
                        if one.severity is Severity.ERROR]  # fmt: skip
            raise UsageError(f"with {', '.join(sorted(settings))}: {'; '.join(problems)}") from wrong
        return replace(found, warnings=tuple(one for one in found.warnings if one.position.file in settings))

    def position(self, *path: str | int) -> Position:
        """Return the position in the spec of a key or a list item, or of the nearest one above if it does not exist.

        `project.position("evaluation_stores", "the_MES", "checks", "auc holds")`
        """
        return position_at(self._files.root, path)

    def value_position(self, *path: str | int) -> Position:
        """Return the position in the spec of a value, or of the nearest key above if it does not exist."""
        node = node_at(self._files.root, path)
        return self.position(*path) if node is None else node.position

    def locate_word(self, words: Iterable[str], *path: str | int) -> Position:
        """Return the position of the first of these words in a text of the spec, or of the text itself."""
        node = node_at(self._files.root, path)
        if isinstance(node, ScalarNode):
            for word in words:
                if found := re.search(rf"(?<!\w){re.escape(word)}(?!\w)", node.text):
                    return node.position_of(found.start(), len(word))
        return self.value_position(*path)

    def written_text(self, *path: str | int) -> str:
        """Return a text as written in the spec, with its references; an empty text if it is not in the spec."""
        node = node_at(self._files.root, path)
        return node.text if isinstance(node, ScalarNode) else ""

    def written_data(self, *path: str | int) -> Any:
        """Return the value at a path of the spec as plain data, with its references; None if there is none."""
        node = node_at(self._files.root, path)
        return None if node is None else plain_value(node)

    def holds_variables(self, *path: str | int) -> bool:
        """Return whether the text at a path of the spec contains a `${…}`."""
        return bool(find_references(self.written_text(*path)))

    def folder_of(self, section: str, name: str) -> Path:
        """Return the folder of the file that declares a resource, to which its paths and functions are relative."""
        return self._files.folders.get((section, name), self.folder)

    def home_of(self, section: str, name: str) -> Path:
        """Return the folder to which the written paths of a resource are relative; see `home`."""
        return find_home(self._files, self.folder_of(section, name))

    def root_of(self, section: str, name: str, connection: str | None) -> Path:
        """Return the folder to which a resource's path is relative: its connection's, or that of its file."""
        if connection is None:
            return self.folder_of(section, name)
        declared = self.connections[connection]
        if not isinstance(declared, FileConnection):
            raise TypeError(f"connection {connection} is not a folder")
        return self.folder_of("connections", connection) / declared.root

    def code_of(self, section: str, name: str) -> CodeFolder:
        """Return the folder of a resource's functions, with whether their code may run."""
        return CodeFolder(self.folder_of(section, name), self.find_code_refusal(section, name))

    def find_code_refusal(self, section: str, name: str) -> str:
        """Return why the code of a resource may not run here; empty if it may."""
        if self.confinement is None or (section, name) in self.confinement.given:
            return ""
        return self.confinement.find_code_refusal(of_settings=(section, name) in self.confinement.of_settings)

    def select_environment(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Return the environment for processes of the project: on a node, only the variables for the deployment."""
        return environ if self.confinement is None else self.confinement.select_environment(environ)

    def check_path(self, path: Path, *, writes: bool = False) -> Path:
        """Return the path of a file that is about to be opened.

        Raises
        ------
        RefusedPathError
            The project is a deployment on a node that does not allow the path.
        """
        refusal = self.confinement.find_path_refusal(path, writes=writes) if self.confinement else ""
        if refusal:
            raise RefusedPathError(refusal)
        return path

    def find_secret_source(self, name: str) -> SecretSource | None:
        """Return the source of a secret's value; None if the node provides none to this deployment."""
        if self.confinement is None:
            declared = self.secrets[name]
            folder = self.folder_of("secrets", name)
        elif name in self.confinement.secrets:
            given = self.confinement.secrets[name]
            declared, folder = Secret.model_construct(env=given.env, file=given.file), self.confinement.node_file.parent
        else:
            return None
        return SecretSource(declared.env, None if declared.file is None else folder / declared.file)

    def list_secret_names(self) -> list[str]:
        """Return the names of all secrets that the project may reveal."""
        given = self.confinement.secrets if self.confinement else {}
        return list(dict.fromkeys([*self.secrets, *given]))

    def locate_written_file(self, scenario: str, step: ReportStep | ExportStep) -> Path | None:
        """Return the path of the file that a step writes, or a placeholder path in an object store; otherwise None."""
        if step.path is None:
            return None
        connection = getattr(step, "connection", None)
        if connection is None:
            return self.home_of("scenarios", scenario) / step.path
        declared = self.connections[connection]
        if isinstance(declared, S3Connection):
            return name_object_root(declared) / step.path
        of_folder = isinstance(declared, FileConnection)
        return self.root_of("scenarios", scenario, connection) / step.path if of_folder else None

    def locate_kept_file(self, name: str) -> Path | None:
        """Return the path of the file with the kept rows of a dataset, or a placeholder path; otherwise None."""
        place = self.find_kept_place(name)
        if place is None or place.key != "path":
            return None
        declared = self.connections[place.connection]
        if isinstance(declared, S3Connection):
            return name_object_root(declared) / place.name
        return self.root_of("datasets", name, place.connection) / place.name

    def find_file_dataset(self, name: str) -> FileDataset | None:
        """Return a dataset if it is a file dataset; None for one that reads the kept rows of another."""
        return None if self.find_writer(name) else find_file_dataset(self.datasets.get(name), self.connections)

    def find_writer(self, name: str) -> str | None:
        """Return the name of the dataset whose kept rows a stored dataset reads; None if there is none."""
        return next(iter(find_writers(self.datasets.get(name), self.datasets, self.connections)), None)

    def find_kept_place(self, name: str) -> StoredPlace | None:
        """Return the place where `materialize` keeps the rows of a dataset; None without it."""
        return find_kept_place(self.datasets.get(name), self.connections)

    def find_table(self, name: str) -> DatabaseTable | None:
        """Return the table of a database that a dataset reads; None for one that reads the kept rows of another."""
        return None if self.find_writer(name) else find_table(self.datasets.get(name), self.connections)

    def find_spark_data(self, name: str) -> StoredPlace | None:
        """Return the table or the path that a dataset reads with Spark; None for another kind."""
        return find_spark_data(self.datasets.get(name), self.connections)

    def render(self) -> str:
        """Return the project as one YAML document: included files merged, variables filled in, secrets masked."""
        return render_project(self.resources)


def load(
    path: Path | str,
    variables: Mapping[str, Value] | None = None,
    environ: Mapping[str, str] = os.environ,
    as_of: date | datetime | None = None,
    confined: Collection[str] = (),
) -> ProjectSpec:
    """Read and validate a project.

    Parameters
    ----------
    path
        Path of the spec file.
    variables
        Values that replace those of the spec. A text is converted to the type of the variable.
    environ
        The environment variables that `${env.NAME}` refers to.
    as_of
        The moment of the run: a date, or a time (in the project's time zone, if it has no offset); by default now.
    confined
        The variables whose values come from a request, see `ProjectSpec.confine`.

    Raises
    ------
    SpecError
        The spec has errors. The exception has all findings, in order of position.
    """
    return _load_project(follow_link(Path(path)), None, variables or {}, environ, as_of, frozenset(confined))


def _load_project(
    path: Path,
    files: SpecFiles | None,
    overrides: Mapping[str, Value],
    environ: Mapping[str, str],
    as_of: date | datetime | None,
    confined: frozenset[str],
) -> ProjectSpec:
    read = read_project(path, files, overrides, environ, as_of, confined)
    return ProjectSpec(
        path, read.resources, read.variables, read.as_of, read.warnings, read.files, overrides, environ, confined
    )
