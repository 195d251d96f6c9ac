"""Loads node.yaml, the file of an automation node, and reports findings like those of a spec.

It is a separate document and not a section of a spec, since authors of specs must not decide what a node provides. So
it has no `include:`, and no variables or environment variables are filled into its texts; `variables:` and
`environment:` are for the bundles. The provided resources are checked like the same sections of a spec.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path
from typing import Any

from engine.errors import Diagnostic, Position, Severity, SpecError
from engine.formatting.hints import did_you_mean
from engine.spec.diagnostics import Findings, TooManyFindings
from engine.spec.observations import note_unknown
from engine.spec.reading.language_version import report_newer_version
from engine.spec.resources.connections import PostgresqlConnection
from engine.spec.resources.deployments import DeployedSecret, TrustedKeyFile
from engine.spec.resources.node import GivenResources, NodeResource
from engine.spec.resources.project import ProjectResource, Secret
from engine.spec.rules import channels, connections, deployments, names, references, resources
from engine.spec.rules.draft import Draft
from engine.spec.spec_files import SpecFiles
from engine.spec.urls.listen_address import EXAMPLES, is_loopback, parse_listen_address
from engine.spec.validation.validator import SpecPath, SpecText, SpecValidator
from engine.spec.variables.references import VariableReference, report_undeclared_variable
from engine.spec.variables.resolver import VariableResolver
from engine.spec.yaml.source import read_source
from engine.spec.yaml.yaml_tree import (
    ListNode,
    MapEntry,
    MapNode,
    ScalarNode,
    YamlNode,
    node_at,
    parse_yaml,
    plain_value,
)
from engine.spec.yaml.yaml_tree import position_at as find_position

RULES = (
    connections.check_connections,
    channels.check_channels,
    references.check_secret_references,
)
"""The rules of a spec that apply to resources of a node."""

ANY_HOST = ("0.0.0.0", "::")  # noqa: S104 - what listens there is reached by any address of the machine
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """The content of a node's file.

    Attributes
    ----------
    path
        Path of the file, as it was given.
    resources
        Its keys.
    warnings
        Findings that are not errors.
    """

    path: Path
    resources: NodeResource
    warnings: tuple[Diagnostic, ...]
    _root: MapNode = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.resources.node

    @property
    def folder(self) -> Path:
        """The folder of the file, to which its paths are relative."""
        return self.path.absolute().parent

    @property
    def node_folder(self) -> Path:
        """The folder of bundles, deployments and states."""
        return self.resolve_path(self.resources.folder)

    @property
    def address(self) -> str | None:
        """The address for links to the node: its `url`, or its listen address; None if unknown."""
        if self.resources.url is not None:
            return self.resources.url
        host, port = parse_listen_address(self.resources.listen)
        if port == 0 or host in ANY_HOST:
            return None
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.resources.tls else 'http'}://{shown}:{port}"

    def resolve_path(self, path: str) -> Path:
        """Return a path of the file as an absolute one."""
        return Path(normpath(self.folder / path))

    def list_given(self, deployment: str) -> tuple[GivenResources, ...]:
        """Return the resources for a deployment: those for all, and those for it alone, which take precedence."""
        own = self.resources.deployments.get(deployment)
        return (self.resources,) if own is None else (self.resources, own)

    def position(self, *path: str | int) -> Position:
        """Return the position in the file of a key or a list item, or of the nearest one above if it does not exist."""
        return find_position(self._root, path)

    def find_node(self, *path: str | int) -> YamlNode | None:
        """Return the unresolved value at a path of the file; None if there is none."""
        return node_at(self._root, path)

    def written_data(self, *path: str | int) -> Any:
        """Return the value at a path of the file as plain data, with its references; None if there is none.

        It replaces parts of a bundle's spec, in which references are filled in and `$${` becomes `${`.
        """
        node = node_at(self._root, path)
        return None if node is None else plain_value(node)


class _NodeValidator(SpecValidator):
    """Validates the file of a node, in which only secrets can be referenced."""

    resolved_section = ""

    def report_unknown_reference(self, node: ScalarNode, reference: VariableReference) -> None:
        """Report a reference that is not a secret."""
        if not reference.parts:
            report_undeclared_variable(node, reference, {}, self.findings)
            return
        at = node.position_of(reference.offset, reference.length)
        message = f"{reference.text[:60]} is not filled in here: the file of a node can only refer to its secrets"
        self.findings.error(at, "undeclared-variable", message, "write the value; for a literal ${ write $${")


def load_node(path: Path | str) -> NodeSpec:
    """Read and validate the file of a node.

    Raises
    ------
    SpecError
        It has errors. The exception has all findings, in order of position.
    """
    note_unknown()  # it names files that must be there
    path, findings = Path(path), Findings()
    try:
        found = _read_node(path, findings)
    except TooManyFindings:
        raise SpecError(findings.sorted_by_position()) from None
    if found is None or any(finding.severity is Severity.ERROR for finding in findings):
        raise SpecError(findings.sorted_by_position())
    root, node = found
    return NodeSpec(path, node, findings.sorted_by_position(), root)


def _read_node(path: Path, findings: Findings) -> tuple[MapNode, NodeResource] | None:
    source = read_source(path, findings)
    root = parse_yaml(source, findings) if source else None
    if source is None or root is None or not _is_node_mapping(root, findings):
        return None
    assert isinstance(root, MapNode)  # noqa: S101 - checked just now
    resolver = VariableResolver(None, {}, {}, {}, findings)
    reader = _NodeValidator(resolver, findings)
    node = NodeResource.model_construct(None, **reader.validate_sections(root, NodeResource))
    files = SpecFiles(root, path.parent, path.parent)
    draft = Draft(path, files, _make_project({}), resolver, reader.texts)
    names.check_names(draft, findings)
    if "node" in node.model_fields_set and (why := names.explain_illegal_name(node.node)):
        findings.error(draft.value_position("node"), "name", f"this cannot be a name: {why}")
    for given, place in _list_given(node):
        _check_given(given, place, draft, findings)
        _check_state(given, place, node, draft, findings)
    _check_address(node, draft, findings)
    _check_named_files(node, draft, findings)
    _check_folders(node, draft, findings)
    return root, node


def _is_node_mapping(root: YamlNode, findings: Findings) -> bool:
    if not isinstance(root, MapNode):
        what = "a list" if isinstance(root, ListNode) else "a text"
        message = f"the file of a node must be a mapping of keys to values, found {what}"
        findings.error(root.position, "wrong-value", message, "start with: version: 1")
        return False
    if "project" in root.entries and "node" not in root.entries:
        message = "this is a spec, not the file of a node"
        help_ = "serve it with engine serve SPEC; the file of a node has the keys version and node"
        findings.error(root.entries["project"].key.position, "unknown-key", message, help_)
        return False
    return not report_newer_version(root, "file of a node", findings)


def _list_given(node: NodeResource) -> Iterator[tuple[GivenResources, SpecPath]]:
    """Yield the resources for all and for single deployments, with their places in the file."""
    yield node, ()
    for name, given in node.deployments.items():
        yield given, ("deployments", name)


def _check_given(given: GivenResources, place: SpecPath, whole: Draft, findings: Findings) -> None:
    """Check the resources at a place like the same sections of a spec; secrets for all apply to each deployment."""
    root = node_at(whole.files.root, place)
    if not isinstance(root, MapNode):
        return
    secrets = MapNode(root.position)
    for level in (whole.files.root, root):
        declared = level.get("secrets")
        secrets.entries |= declared.entries if isinstance(declared, MapNode) else {}
    tree = MapNode(root.position, dict(root.entries))
    if secrets.entries:
        key = ScalarNode(root.position, "secrets", "secrets")
        tree.entries["secrets"] = MapEntry(key, secrets)
    texts = [one for one in whole.texts if _get_place(one) == place]
    sources = {name: Secret(env=one.env, file=one.file) for name, one in given.secrets.items()}
    project = _make_project({"connections": given.connections, "channels": given.channels, "secrets": sources})
    files = SpecFiles(tree, whole.files.folder, whole.files.home)
    draft = Draft(whole.path, files, project, whole.variables, texts)
    if place:
        names.check_names(draft, findings)
    for rule in RULES:
        rule(draft, findings)
    for name, source in given.secrets.items():
        _check_source(name, source, (*place, "secrets", name), whole, findings)
    for name, read in given.environment.items():
        for at, text in (
            (whole.key_position(*place, "environment", name), name),
            (whole.value_position(*place, "environment", name), read),
        ):
            if not _VARIABLE_NAME.fullmatch(text):
                message = f'"{text[:60]}" cannot be the name of an environment variable'
                findings.error(at, "name", message, "use A-Z a-z 0-9 and _, and do not start with a digit")


def _make_project(sections: dict[str, Any]) -> ProjectResource:
    """Return a project that has these sections alone, for the rules of a spec."""
    return ProjectResource.model_construct(None, **sections)


def _get_place(text: SpecText) -> SpecPath:
    return text.path[:2] if text.path[0] == "deployments" else ()


def _check_state(given: GivenResources, place: SpecPath, node: NodeResource, draft: Draft, findings: Findings) -> None:
    """Check that the rows of states are in a database of this file, and not all in one schema."""
    if given.state is None:
        return
    known = {**node.connections, **given.connections}
    at = draft.value_position(*place, "state", "connection")
    found = known.get(given.state.connection)
    if found is None:
        help_ = did_you_mean(given.state.connection, known, "the names are") if known else "declare it"
        message = f'"{given.state.connection[:60]}" is not the name of a connection of this file'
        findings.error(at, "unknown-name", message, help_)
    elif not isinstance(found, PostgresqlConnection):
        message = f'the connection "{given.state.connection[:60]}" is of kind {found.kind}'
        findings.error(at, "connection", message, "use a connection of kind postgresql")
    if not place and given.state.db_schema is not None:
        message = "the states of all deployments cannot be in one schema"
        help_ = "leave it out, so that each has its own schema, or write it under the deployment"
        findings.error(draft.key_position("state", "schema"), "wrong-value", message, help_)


def _check_source(name: str, source: DeployedSecret, place: SpecPath, draft: Draft, findings: Findings) -> None:
    if (source.env is None) == (source.file is None):
        how_many = "no source" if source.env is None else "two sources"
        message = f'secret "{name[:60]}" has {how_many}; it needs one: env or file'
        findings.error(draft.key_position(*place), "secret-source", message, "write {env: NAME} or {file: /path}")
    elif source.env is not None and not _VARIABLE_NAME.fullmatch(source.env):
        message = f'"{source.env[:60]}" cannot be the name of an environment variable'
        help_ = "use A-Z a-z 0-9 and _, and do not start with a digit"
        findings.error(draft.value_position(*place, "env"), "name", message, help_)
    elif source.file is not None and not Path(source.file).is_absolute():
        message = f'the path "{source.file[:60]}" is relative, but a deployment runs in its own folder'
        findings.error(draft.value_position(*place, "file"), "path", message, "write an absolute path")


def _check_address(node: NodeResource, draft: Draft, findings: Findings) -> None:
    """Check the listen address of the node, and that tokens are encrypted in transit."""
    if node.url is not None:
        resources.check_address(node.url, draft.value_position("url"), findings)
    try:
        host, _ = parse_listen_address(node.listen)
    except ValueError:
        message = f'"{node.listen[:60]}" is not an address to listen at'
        findings.error(draft.value_position("listen"), "wrong-value", message, EXAMPLES)
        return
    if host in ANY_HOST and node.url is None:
        message = "links in messages cannot start with this address, so they use the address in each bundle"
        findings.warning(draft.value_position("listen"), "no-server", message, "add url: https://…")
    if not (is_loopback(host) or node.behind_proxy or draft.find_node("tls") is not None):
        message = f"{node.listen} can be reached from other machines, and tokens would be sent unencrypted"
        help_ = "add tls: {certificate: …, key: …}, or behind_proxy: true if a proxy terminates TLS, or listen "
        findings.error(draft.value_position("listen"), "needs-key", message, f"{help_}at 127.0.0.1")


def _check_named_files(node: NodeResource, draft: Draft, findings: Findings) -> None:
    """Check that the files of the certificate and of trusted keys exist, and that enough keys are trusted."""
    files: dict[SpecPath, str] = {}
    if node.tls is not None:
        files |= {("tls", "certificate"): node.tls.certificate, ("tls", "key"): node.tls.key}
    for name, key in node.trusted_keys.items():
        of_mapping = isinstance(key, TrustedKeyFile)
        place: SpecPath = ("trusted_keys", name, "path") if of_mapping else ("trusted_keys", name)
        files[place] = key.path if isinstance(key, TrustedKeyFile) else key
    for place, written in files.items():
        path = draft.files.folder.absolute() / written
        if not path.is_file():
            message = f'"{written[:60]}" is not a file' if path.exists() else f'there is no file "{written[:60]}"'
            findings.error(draft.value_position(*place), "path", message, "a path starts from the folder of this file")
    count = len(draft.declared_names("trusted_keys"))
    if node.require > count:
        deployments.report_missing_keys(draft.value_position("require"), node.require, count, findings)


def _check_folders(node: NodeResource, draft: Draft, findings: Findings) -> None:
    if not node.folder.strip():
        findings.error(draft.value_position("folder"), "path", "the path of the folder is empty", "write a path, or .")
    for i, folder in enumerate(node.folders):
        if not Path(folder).is_absolute():
            message = f'the path "{folder[:60]}" is relative, but deployments run in their own folders'
            findings.error(draft.value_position("folders", i), "path", message, "write an absolute path")
