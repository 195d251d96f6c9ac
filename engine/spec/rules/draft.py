"""The input of the rules: a project whose keys and types of values are valid, with its tree of YAML nodes.

The rules between resources are not checked yet. The keys and the types of values of a resource are called its shape.
"""

from collections.abc import Iterator
from os.path import normpath
from pathlib import Path
from typing import NamedTuple

from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.problem import Problem
from engine.spec.resources.connections import FileConnection, S3Connection
from engine.spec.resources.models import AnyModel
from engine.spec.resources.project import ProjectResource
from engine.spec.resources.scenarios import ExportStep, Reporter, ReportStep, SendMessageStep
from engine.spec.spec_files import SpecFiles, find_home
from engine.spec.stored_data import find_file_dataset, find_kept_place, name_object_root
from engine.spec.validation.validator import SpecPath, SpecText
from engine.spec.variables.resolver import VariableResolver
from engine.spec.yaml.yaml_tree import ListNode, MapNode, ScalarNode, YamlNode, node_at, position_at


class Draft(NamedTuple):
    """A project before the rules between its resources are checked.

    `files` has the tree of YAML nodes, `spec` the resources whose shape is valid, `texts` the SQL, conditions and other
    texts that are parsed by the rules, and `confined` the variables from requests, which are restricted (`reach.py`).
    """

    path: Path
    files: SpecFiles
    spec: ProjectResource
    variables: VariableResolver
    texts: list[SpecText]
    confined: frozenset[str] = frozenset()

    def declared_names(self, *path: str | int) -> list[str]:
        """Return the names that a mapping declares, including those of resources whose shape is invalid."""
        node = self.find_node(*path)
        return list(node.entries) if isinstance(node, MapNode) else []

    def find_node(self, *path: str | int) -> YamlNode | None:
        """Return the node at a path; None if the path does not exist."""
        return node_at(self.files.root, path)

    def scalar_text(self, *path: str | int) -> str | None:
        """Return the text of the scalar at a path; None if there is no scalar."""
        node = self.find_node(*path)
        return node.text if isinstance(node, ScalarNode) else None

    def scalar_texts(self, *path: str | int) -> list[str]:
        """Return the texts of the scalar, or of the scalars of the list, at a path; none if there is neither."""
        node = self.find_node(*path)
        nodes = node.items if isinstance(node, ListNode) else [node]
        return [one.text for one in nodes if isinstance(one, ScalarNode)]

    def list_length(self, *path: str | int) -> int:
        """Return the length of the list at a path; 0 if there is no list."""
        node = self.find_node(*path)
        return len(node.items) if isinstance(node, ListNode) else 0

    def folder_of(self, section: str, name: str) -> Path:
        """Return the folder of the file that declares a resource, to which its paths are relative."""
        return self.files.folders.get((section, name), self.files.folder)

    def home_of(self, section: str, name: str) -> Path:
        """Return the folder to which the written paths of a resource are relative."""
        return find_home(self.files, self.folder_of(section, name))

    def root_of(self, dataset: str, connection: str | None) -> Path | None:
        """Return the folder to which the path of a dataset is relative; None if its connection contains no files."""
        if connection is None:
            return self.folder_of("datasets", dataset)
        declared = self.spec.connections.get(connection)
        if isinstance(declared, S3Connection):
            return name_object_root(declared)
        if not isinstance(declared, FileConnection):
            return None
        return self.folder_of("connections", connection) / declared.root

    def locate_dataset(self, name: str) -> Path | None:
        """Return the path or pattern of a dataset of files; None if it is of another kind, or not valid."""
        dataset = find_file_dataset(self.spec.datasets.get(name), self.spec.connections)
        root = self.root_of(name, dataset.connection) if dataset else None
        return locate_path(root, dataset.path) if dataset and root else None

    def locate_written_file(self, scenario: str, step: ReportStep | ExportStep) -> Path | None:
        """Return the path of the file that a step writes; None if it writes a table, or its keys are not valid."""
        root = self.home_of("scenarios", scenario)
        if isinstance(step, ExportStep) and step.connection is not None:
            of_connection = self.root_of("", step.connection)
            if of_connection is None:
                return None
            root = of_connection
        return None if step.path is None else locate_path(root, step.path)

    def locate_kept_file(self, name: str) -> Path | None:
        """Return the path of the file with the kept rows of a dataset; None if there is none."""
        place = find_kept_place(self.spec.datasets.get(name), self.spec.connections)
        root = self.root_of(name, place.connection) if place and place.key == "path" else None
        return locate_path(root, place.name) if place and root else None

    def key_position(self, *path: str | int) -> Position:
        """Return the position of a path: of the key for an entry of a mapping, of the value for an item of a list."""
        return position_at(self.files.root, path)

    def value_position(self, *path: str | int) -> Position:
        """Return the position of a value; if the spec does not have it, of the nearest key above."""
        node = self.find_node(*path)
        return self.key_position(*path) if node is None else node.position

    def texts_read_as(self, *readings: str) -> Iterator[SpecText]:
        """Yield the texts that are read in one of these ways: "sql", "condition", "metric", …."""
        return (text for text in self.texts if text.reading in readings)

    def iterate_messages(self) -> Iterator[tuple[SpecPath, Reporter | SendMessageStep]]:
        """Yield each message of a scenario with its path: those of its reporters, and of its steps."""
        for scenario, spec in self.spec.scenarios.items():
            for i, reporter in enumerate(spec.reporters):
                yield ("scenarios", scenario, "reporters", i), reporter
            for i, step in enumerate(spec.steps):
                if isinstance(step, SendMessageStep):
                    yield ("scenarios", scenario, "steps", i), step

    def model_of_store(self, store: str) -> AnyModel | None:
        """Return the model of an evaluation store, if the shapes of both are valid."""
        declared = self.spec.evaluation_stores.get(store)
        return self.spec.models.get(declared.model or "") if declared else None

    def challenger_of_store(self, store: str) -> AnyModel | None:
        """Return the challenger of an evaluation store, if the shapes of both are valid."""
        declared = self.spec.evaluation_stores.get(store)
        return self.spec.models.get(declared.challenger or "") if declared else None


def locate_path(folder: Path, path: str) -> Path:
    """Return the absolute path of a file, without `..`; symbolic links are resolved when a step runs."""
    return Path(normpath(folder.absolute() / path))


def report_problem(findings: Findings, text: SpecText, problem: Problem) -> None:
    """Add a problem inside a text to the findings, at its position in the file."""
    # Where variables were filled in, offsets do not match the file: the problem is reported at the whole text.
    at = text.node.position
    if text.value == text.node.text:
        at = text.node.position_of(problem.offset, problem.length)
    findings.error(at, problem.code, problem.message, problem.help)
