"""What a deployment on an automation node may reach: its release, its home, and what node.yaml gives to it.

A bundle and the settings of whoever deploys it are texts of others. They know names; what stands behind a name is the
node's, and is read from node.yaml each time when a revision is loaded. So nothing of a bundle decides which variable of
the environment or which file a secret is read from, and no path of it leads out of the folders of its deployment.

A file that is opened is checked where it really is, after all links: the text of a path alone says nothing.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.digests import digest_file, digest_texts
from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.resolver import VariableResolver
from engine.spec.resources.deployments import DeployedSecret, TrustedKeyFile
from engine.spec.resources.node import GivenResources, NodeResource
from engine.spec.resources.resource import Scalar
from engine.spec.revision_file import Revision
from engine.spec.source import read_source
from engine.spec.validator import SpecValidator
from engine.spec.value_types import ValueType
from engine.spec.variable_references import find_references
from engine.spec.yaml_tree import MapEntry, MapNode, ScalarNode, parse_yaml, walk_values

PASSED_VARIABLES = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8"),
    *("PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"),
    *("NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "POLARS_ROW_GROUP_PREFETCH_SIZE"),
)
"""The variables of the node's environment that every process of a deployment gets: they say how programs run."""

PASSED_PREFIXES = ("LC_",)

CLOSED_VARIABLES = {"PGPASSFILE": os.devnull, "PGSERVICEFILE": os.devnull, "NETRC": os.devnull}
"""Where libraries would look in the home of the node's user for logins that nobody has given to the deployment."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What one deployment may reach on its node, as node.yaml says it now.

    Attributes
    ----------
    node_file
        Path of node.yaml.
    release, home
        The real folders of the deployment: what it reads, and what it also writes.
    folders
        The real folders that node.yaml lists, or names in a connection that it gives.
    withheld
        Real folders and files of the node itself: never part of `folders`, whatever these are.
    variables, environment, secrets
        What is given under the names that the bundle uses.
    given
        The connections and channels that are declared by node.yaml, as (section, name).
    of_settings
        Those that the settings of the deployment declare.
    allow_code, signers
        Whether code runs without a signature; the trusted keys that have signed the bundle.
    """

    node_file: Path
    release: Path
    home: Path
    folders: tuple[Path, ...]
    withheld: tuple[Path, ...]
    variables: Mapping[str, Scalar]
    environment: Mapping[str, str]
    secrets: Mapping[str, DeployedSecret]
    given: frozenset[tuple[str, str]]
    of_settings: frozenset[tuple[str, str]]
    allow_code: bool
    signers: tuple[str, ...]

    def find_path_refusal(self, path: Path, *, writes: bool = False) -> str:
        """Return why a path must not be opened, and what to do; empty if it may be."""
        try:
            real = _resolve_path(path)
        except (OSError, RuntimeError, ValueError):  # links that lead in a circle, a NUL in the name
            return f"{str(path)[:300]!r} is not the path of a file"
        if real.is_relative_to(self.home) or (real.is_relative_to(self.release) and not writes):
            return ""
        withheld = any(real.is_relative_to(one) for one in self.withheld)
        if not withheld and any(real.is_relative_to(folder) for folder in self.folders):
            return ""
        if real.is_relative_to(self.release):
            return f"{path} lies in the release, which nothing is written to; write to a path relative to the spec"
        leads = f"{path} leads to {real}, which" if real != path else f"{path}"
        return (
            f"{leads} is outside of what this deployment may reach on the node: write a path inside of the bundle, or "
            f"let the owner of the node list the folder in {self.node_file} under folders:, or give a connection there"
        )

    def find_code_refusal(self, *, of_settings: bool = False) -> str:
        """Return why code does not run on the node, and what to do; empty if it does.

        Parameters
        ----------
        of_settings
            Whether the code comes with the settings of the deployment, which no signature of a bundle covers.
        """
        if self.allow_code or (self.signers and not of_settings):
            return ""
        if of_settings:
            return f"it comes with the settings of the deployment, and {self.node_file} does not say allow_code: true"
        return (
            f"none of the trusted_keys of {self.node_file} has signed the bundle: sign it by engine bundle sign, or "
            "let the owner of the node say allow_code: true there"
        )

    def read_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return what `${env.NAME}` stands for, by NAME."""
        return {name: environ[variable] for name, variable in self.environment.items() if variable in environ}

    def select_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the processes of the deployment, from that of the node."""
        given = {*self.environment.values(), *(one.env for one in self.secrets.values() if one.env)}
        passed = {
            name: value
            for name, value in environ.items()
            if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES) or name in given
        }
        return {**CLOSED_VARIABLES, **passed}


def _resolve_path(path: Path) -> Path:
    real = path.resolve()
    if any(part.is_symlink() for part in (real, *real.parents)):
        raise RuntimeError("links that lead in a circle")
    return real


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A node.yaml as it was read: its resources, the tree that they were read from, and the digest of its text."""

    path: Path
    node: NodeResource
    tree: MapNode
    digest: str

    def give(self, deployment: str) -> GivenResources:
        """Return what is given to a deployment: what is its own wins over what is given to all."""
        own = self.node.deployments.get(deployment, GivenResources.model_construct())
        values = {key: {**getattr(self.node, key), **getattr(own, key)} for key in GivenResources.model_fields}
        return GivenResources.model_construct(None, **values)

    def find_entries(self, deployment: str, section: str) -> dict[str, MapEntry]:
        """Return what a section gives to a deployment, as it is written."""
        found: dict[str, MapEntry] = {}
        for place in ((section,), ("deployments", deployment, section)):
            node: object = self.tree
            for key in place:
                node = node.get(key) if isinstance(node, MapNode) else None
            found.update(node.entries if isinstance(node, MapNode) else {})
        return found


def read_node_file(path: Path, findings: Findings) -> NodeFile | None:
    """Read node.yaml; None, with findings, if that is not possible."""
    before = len(findings)
    source = read_source(path, findings)
    tree = parse_yaml(source, findings) if source else None
    if tree is not None and not isinstance(tree, MapNode):
        findings.error(tree.position, "wrong-value", "a node.yaml must be a mapping of keys to values")
    if not isinstance(tree, MapNode):
        return None
    validator = SpecValidator(VariableResolver(None, {}, {}, {}, findings), findings)
    node = validator.validate_node(ValueType(resources=(NodeResource,)), tree, (), Position(str(path)))
    if len(findings) > before or not isinstance(node, NodeResource):
        return None
    return NodeFile(path, node, tree, digest_texts(source.text if source else ""))


def confine_deployment(
    found: NodeFile, revision: Revision, release: Path, home: Path, findings: Findings
) -> Confinement:
    """Return what a revision may reach.

    Parameters
    ----------
    release, home
        The folder of the release, and that of what the deployment writes.
    """
    node, folder = found.node, found.path.parent
    given = found.give(revision.deployment)
    names = frozenset((section, name) for section in ("connections", "channels") for name in getattr(given, section))
    for section, name in sorted(names):
        entry = found.find_entries(revision.deployment, section)[name]
        for _, text in walk_values((), entry.value):
            for reference in find_references(text.text):
                if reference.parts[:1] != ("secret",) or reference.parts[1] not in given.secrets:
                    at = text.position_of(reference.offset, reference.length)
                    message = f"{reference.text} is not a secret that this file gives"
                    findings.error(at, "undeclared-variable", message, "give it under secrets:, or write the value")
    roots = [getattr(one, "root", getattr(one, "path", None)) for one in given.connections.values()]
    secret_files = [one.file for one in given.secrets.values() if one.file]
    tls = [node.tls.certificate, node.tls.key] if node.tls else []
    withheld = [found.path, folder / node.folder, *(folder / one for one in (*secret_files, *tls))]
    replaced = revision.replaced
    return Confinement(
        node_file=found.path,
        release=release.resolve(),
        home=home.resolve(),
        folders=tuple((folder / one).resolve() for one in (*node.folders, *filter(None, roots))),
        withheld=tuple(one.resolve() for one in withheld),
        variables=given.variables,
        environment=given.environment,
        secrets=given.secrets,
        given=names,
        of_settings=frozenset((section, name) for section in ("connections", "channels")
                              for name in replaced.get(section, {})) - names,
        allow_code=node.allow_code,
        signers=tuple(name for name, digest in revision.signers.items() if _is_trusted(found, name, digest)),
    )  # fmt: skip


def digest_trusted_keys(found: NodeFile, names: Iterator[str] | tuple[str, ...]) -> dict[str, str]:
    """Return the digests of the files of trusted keys, by name."""
    digests = {}
    for name in names:
        file = _locate_key(found, name)
        if file is not None and file.is_file():
            digests[name] = digest_file(file)
    return digests


def _locate_key(found: NodeFile, name: str) -> Path | None:
    declared = found.node.trusted_keys.get(name)
    if declared is None:
        return None
    return found.path.parent / (declared.path if isinstance(declared, TrustedKeyFile) else declared)


def _is_trusted(found: NodeFile, name: str, digest: str) -> bool:
    """Tell whether a key that has signed a bundle is trusted still: it may have been withdrawn or exchanged since."""
    declared = found.node.trusted_keys.get(name)
    if isinstance(declared, TrustedKeyFile) and declared.not_after and declared.not_after < datetime.now(UTC).date():
        return False
    try:
        file = _locate_key(found, name)
        return file is not None and digest_file(file) == digest
    except OSError:
        return False


def select_given(found: NodeFile, deployment: str, root: MapNode) -> MapNode:
    """Return, by section, what node.yaml puts in the place of resources that a spec declares.

    A secret is among them only if it is needed by what node.yaml gives, and the spec does not declare it.
    """
    replaced = MapNode(found.tree.position)
    for section in ("variables", "connections", "channels"):
        declared = root.get(section)
        names = declared.entries if isinstance(declared, MapNode) else {}
        entries = {name: one for name, one in found.find_entries(deployment, section).items() if name in names}
        replaced.entries[section] = _make_section(section, entries, found.tree)
    needed = {
        reference.parts[1]
        for section in ("connections", "channels")
        for _, text in walk_values((), replaced.entries[section].value)
        for reference in find_references(text.text)
        if reference.parts[:1] == ("secret",) and len(reference.parts) > 1
    }
    secrets = root.get("secrets")
    declared_secrets = secrets.entries if isinstance(secrets, MapNode) else {}
    added = {
        name: one
        for name, one in found.find_entries(deployment, "secrets").items()
        if name in needed and name not in declared_secrets
    }
    replaced.entries["secrets"] = _make_section("secrets", added, found.tree)
    return replaced


def _make_section(name: str, entries: Mapping[str, MapEntry], tree: MapNode) -> MapEntry:
    at = tree.position
    return MapEntry(ScalarNode(at, name, name), MapNode(at, dict(entries)))
