"""Loading a spec: from the text of its files to a frozen, validated project.

The stages are text, tree, resources and rules. Each of them collects its findings, and only this module turns findings
into a SpecError. The project keeps its tree: with other values of variables, it is resolved and validated again from
the tree, instead of being patched.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import Diagnostic, Position, Severity, SpecError
from engine.spec.diagnostics import Findings, TooManyFindings
from engine.spec.include import Files, read_files
from engine.spec.problem import did_you_mean
from engine.spec.render import render
from engine.spec.resolver import Resolver
from engine.spec.resources.channels import AppriseChannel, FileChannel, MailChannel
from engine.spec.resources.connections import Connection
from engine.spec.resources.datasets import AnyDataset
from engine.spec.resources.evaluation_stores import EvaluationStore
from engine.spec.resources.models import AnyModel
from engine.spec.resources.project import ProjectSpec, Secret, Server, State
from engine.spec.resources.scenarios import Scenario
from engine.spec.rules import Draft, check
from engine.spec.shape import Reader
from engine.spec.tree import MapNode, ScalarNode, place
from engine.spec.variables import Value

VERSION = 1


@dataclass(frozen=True, slots=True)
class Project:
    """What was read from a spec: validated, with variables filled in.

    Attributes
    ----------
    path
        Path of the spec file, as it was given.
    spec
        The resources, with variables filled in. Messages, conditions, SQL and secret texts are kept as written.
    variables
        Values of the variables, by name.
    warnings
        Findings that are not errors.
    """

    path: Path
    spec: ProjectSpec
    variables: Mapping[str, Value]
    warnings: tuple[Diagnostic, ...]
    _files: Files = field(repr=False)
    _overrides: Mapping[str, Value] = field(repr=False)
    _environ: Mapping[str, str] = field(repr=False)

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def overrides(self) -> Mapping[str, Value]:
        """The values that replace those of the spec."""
        return self._overrides

    @property
    def name(self) -> str:
        return self.spec.project

    @property
    def datasets(self) -> dict[str, AnyDataset]:
        return self.spec.datasets

    @property
    def models(self) -> dict[str, AnyModel]:
        return self.spec.models

    @property
    def evaluation_stores(self) -> dict[str, EvaluationStore]:
        return self.spec.evaluation_stores

    @property
    def channels(self) -> dict[str, MailChannel | FileChannel | AppriseChannel]:
        return self.spec.channels

    @property
    def scenarios(self) -> dict[str, Scenario]:
        return self.spec.scenarios

    @property
    def connections(self) -> dict[str, Connection]:
        return self.spec.connections

    @property
    def secrets(self) -> dict[str, Secret]:
        return self.spec.secrets

    @property
    def state(self) -> State:
        return self.spec.state

    @property
    def server(self) -> Server | None:
        return self.spec.server

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the spec and of all files that it includes."""
        return tuple(self._files.paths)

    def with_variables(self, values: Mapping[str, Value]) -> "Project":
        """Return the project with other values of its variables, validated again; raises SpecError."""
        return _project(self.path, self._files, {**self._overrides, **values}, self._environ)

    def position(self, *path: str | int) -> Position:
        """Return the position in the spec of a key or a list item, or of the nearest one above if it does not exist.

        `project.position("evaluation_stores", "the_MES", "checks", "auc holds")`
        """
        return place(self._files.root, path)

    def folder_of(self, section: str, name: str) -> Path:
        """Return the folder of the file that declares a resource, to which its paths and functions are relative."""
        return self._files.folders.get((section, name), self.folder)

    def render(self) -> str:
        """Return the project as one YAML document: included files merged, variables filled in, secrets masked."""
        return render(self.spec)


def load(
    path: Path | str, variables: Mapping[str, Value] | None = None, environ: Mapping[str, str] = os.environ
) -> Project:
    """Read and validate a project.

    Parameters
    ----------
    path
        Path of the spec file.
    variables
        Values that replace those of the spec. A text is converted to the type of the variable.
    environ
        The environment variables that `${env.NAME}` refers to.

    Raises
    ------
    SpecError
        The spec has errors. The exception has all findings, in order of position.
    """
    return _project(Path(path), None, variables or {}, environ)


def _project(path: Path, files: Files | None, overrides: Mapping[str, Value], environ: Mapping[str, str]) -> Project:
    findings = Findings()
    try:
        files = files or read_files(path, findings)
        if not files.whole or _newer(files.root, findings):
            raise SpecError(findings.in_order())
        declared = files.root.get("variables")
        _check_overrides(files.root, overrides, findings)
        resolver = Resolver(declared if isinstance(declared, MapNode) else None, overrides, environ, findings)
        reader = Reader(resolver, findings)
        spec = reader.project(files.root)
        check(Draft(path, files, spec, resolver, reader.texts), findings)
    except TooManyFindings:
        raise SpecError(findings.in_order()) from None
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise SpecError(findings.in_order())
    return Project(path, spec, resolver.values, findings.in_order(), files, overrides, environ)


def _newer(root: MapNode, findings: Findings) -> bool:
    """Return whether the spec has a newer version, and report it: its other problems would be misleading."""
    version = root.get("version")
    if not isinstance(version, ScalarNode) or not isinstance(version.value, int) or version.value <= VERSION:
        return False
    message = f"this spec has version {version.value}, but this engine supports only version {VERSION}"
    findings.error(version.position, "newer-version", message, "upgrade the engine: pip install --upgrade engine")
    return True


def _check_overrides(root: MapNode, overrides: Mapping[str, Value], findings: Findings) -> None:
    """Report given values of variables that the spec does not declare."""
    declared = root.get("variables")
    names = declared.entries if isinstance(declared, MapNode) else {}
    for name in sorted(overrides.keys() - names.keys()):
        help_ = did_you_mean(name, names, "the variables are") if names else "declare it under variables:"
        at = place(root, ("variables",))
        findings.error(at, "undeclared-variable", f'variable "{name[:60]}" is not declared', help_)
