"""The confinement of a deployment on an automation node to its release, its home, and resources in node.yaml.

A bundle and the settings of its deployment are untrusted. They contain names; the node defines the resources behind
them, read from node.yaml whenever a revision is loaded. So a bundle cannot choose the environment variable or the file
of a secret, and its paths cannot leave the folders of its deployment.

An opened file is checked at its real place, after resolving links, since the text of a path is not enough.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.digests import digest_file
from engine.errors import Position
from engine.spec.resources.deployments import DeployedSecret, StateRows, TrustedKeyFile
from engine.spec.resources.resource import Scalar
from engine.spec.revisions.revision_file import STATE_CONNECTION, Revision
from engine.spec.variables.references import find_references
from engine.spec.yaml.yaml_tree import MapEntry, MapNode, ScalarNode, walk_values

if TYPE_CHECKING:
    from engine.spec.reading.node_file import NodeSpec
    from engine.spec.resources.node import GivenResources

REPLACED_RESOURCES = ("connections", "channels")
"""The sections in which a node, or the settings of a deployment, replaces whole resources."""

PASSED_VARIABLES = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    *("XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8"),
    *("PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"),
    *("NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "JAVA_HOME", "SPARK_HOME"),
    *("POLARS_ROW_GROUP_PREFETCH_SIZE", "POLARS_PARQUET_DECODE_TARGET_VALUES_PER_THREAD", "_RJEM_MALLOC_CONF"),
    *("OPENBLAS_THREAD_TIMEOUT", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
)
"""The variables of the node's environment that every process of a deployment gets to run programs."""

PASSED_PREFIXES = ("LC_",)

CLOSED_VARIABLES = {"PGPASSFILE": os.devnull, "PGSERVICEFILE": os.devnull, "NETRC": os.devnull}
"""The variables that keep libraries from reading logins in the home of the node's user."""


class Confinement(NamedTuple):
    """The confinement of one deployment on its node, from the current node.yaml.

    Attributes
    ----------
    node_file
        Path of node.yaml.
    release, home
        The real folders of the deployment: the one that it reads, and the one that it also writes.
    folders
        The real folders that node.yaml lists, or names in its connections.
    node_folder
        The real folder of the node.
    withheld
        Real folders and files of the node itself: never part of `folders`, whatever these are.
    variables, environment, secrets
        The values provided for the names in the bundle.
    given
        The connections and channels declared in node.yaml, as (section, name).
    of_settings
        Those declared in the settings of the deployment.
    allow_code, signers
        Whether code runs without a signature; the trusted keys that have signed the bundle.
    longest_run
        The longest time that a run may take.
    """

    node_file: Path
    release: Path
    home: Path
    folders: tuple[Path, ...]
    node_folder: Path
    withheld: tuple[Path, ...]
    variables: Mapping[str, Scalar]
    environment: Mapping[str, str]
    secrets: Mapping[str, DeployedSecret]
    given: frozenset[tuple[str, str]]
    of_settings: frozenset[tuple[str, str]]
    allow_code: bool
    signers: tuple[str, ...]
    longest_run: timedelta

    def find_path_refusal(self, path: Path, *, writes: bool = False) -> str:
        """Return why a path must not be opened, and the remedy; empty if it may be."""
        try:
            real = _resolve_path(path)
        except (OSError, RuntimeError, ValueError):  # links that refer to each other, a NUL in the name
            return f"{str(path)[:300]!r} is not the path of a file"
        if real.is_relative_to(self.home) or (real.is_relative_to(self.release) and not writes):
            return ""
        withheld = any(real.is_relative_to(one) for one in self.withheld)
        # A folder that contains the node's folder does not give access to it.
        of_node = real.is_relative_to(self.node_folder)
        folders = [one for one in self.folders if not (of_node and self.node_folder.is_relative_to(one))]
        if not withheld and any(real.is_relative_to(folder) for folder in folders):
            return ""
        if real.is_relative_to(self.release):
            return f"{path} is in the release, which is never changed; write to a path relative to the spec"
        leads = f"{path} leads to {real}, which" if real != path else f"{path}"
        return (
            f"{leads} is outside of what this deployment may reach on the node: write a path inside of the bundle, or "
            f"let the owner of the node list the folder in {self.node_file} under folders:, or give a connection there"
        )

    def find_code_refusal(self, *, of_settings: bool = False) -> str:
        """Return why code may not run on the node, and the remedy; empty if it may.

        Parameters
        ----------
        of_settings
            Whether the code is part of the deployment's settings, which signatures of bundles do not cover.
        """
        if self.allow_code or (self.signers and not of_settings):
            return ""
        if of_settings:
            return (
                f"it comes with the settings of the deployment, and {self.node_file} does not contain allow_code: true"
            )
        return (
            f"none of the trusted_keys of {self.node_file} has signed the bundle: sign it with engine bundle sign, or "
            "let the owner of the node write allow_code: true there"
        )

    def read_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the values of `${env.NAME}`, by NAME."""
        return {name: environ[variable] for name, variable in self.environment.items() if variable in environ}

    def select_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the processes of the deployment, from that of the node."""
        return select_variables(self, environ)


def select_variables(given: "Confinement | GivenResources", environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a deployment: those to run programs, and provided ones."""
    named = {*given.environment.values(), *(one.env for one in given.secrets.values() if one.env)}
    passed = {
        name: value
        for name, value in environ.items()
        if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES) or name in named
    }
    return {**CLOSED_VARIABLES, **passed}


def _resolve_path(path: Path) -> Path:
    real = path.resolve()
    if any(part.is_symlink() for part in (real, *real.parents)):
        raise RuntimeError("links that refer to each other")
    return real


def confine_deployment(node: "NodeSpec", revision: Revision, release: Path, home: Path) -> Confinement:
    """Return the confinement of a revision.

    Parameters
    ----------
    release, home
        The folder of the release, and the folder that the deployment writes.
    """
    from engine.spec.resources.node import LONGEST_RUN

    given = merge_given(node, revision.deployment)
    names = _name_resources({section: getattr(given, section) for section in REPLACED_RESOURCES})
    roots = [getattr(one, "root", getattr(one, "path", None)) for one in given.connections.values()]
    tls = node.resources.tls
    withheld = [
        node.path,
        *(node.node_folder / name for name in ("bundles", "deployments", "staging")),
        *(Path(one.file) for one in given.secrets.values() if one.file),
        *((node.resolve_path(tls.certificate), node.resolve_path(tls.key)) if tls else ()),
    ]
    return Confinement(
        node_file=node.path,
        release=release.resolve(),
        home=home.resolve(),
        folders=tuple(node.resolve_path(one).resolve() for one in (*node.resources.folders, *filter(None, roots))),
        node_folder=node.node_folder.resolve(),
        withheld=tuple(one.resolve() for one in withheld),
        variables=given.variables,
        environment=given.environment,
        secrets=given.secrets,
        given=names,
        of_settings=_name_resources(revision.replaced) - names,
        allow_code=node.resources.allow_code,
        signers=tuple(name for name, digest in revision.signers.items() if _is_trusted(node, name, digest)),
        longest_run=node.resources.limits.longest_run or LONGEST_RUN,
    )


def merge_given(node: "NodeSpec", deployment: str) -> "GivenResources":
    """Return the resources for a deployment: its own take precedence over those for all."""
    from engine.spec.resources.node import GivenResources

    levels = node.list_given(deployment)
    named = [key for key in GivenResources.model_fields if key != "state"]
    values: dict[str, Any] = {key: {n: v for one in levels for n, v in getattr(one, key).items()} for key in named}
    return GivenResources.model_construct(None, **values, state=find_given_state(node, deployment))


def find_given_state(node: "NodeSpec", deployment: str) -> StateRows | None:
    """Return the place of the state's rows of a deployment; None if they are in its folder."""
    return next((one.state for one in reversed(node.list_given(deployment)) if one.state is not None), None)


def _name_resources(sections: Mapping[str, Mapping[str, object]]) -> frozenset[tuple[str, str]]:
    return frozenset((section, name) for section in REPLACED_RESOURCES for name in sections.get(section, {}))


def digest_trusted_keys(node: "NodeSpec", names: Iterable[str]) -> dict[str, str]:
    """Return the digests of the files of trusted keys, by name."""
    files = {name: _locate_key(node, name) for name in names}
    return {name: digest_file(file) for name, file in files.items() if file is not None}


def _locate_key(node: "NodeSpec", name: str) -> Path | None:
    declared = node.resources.trusted_keys.get(name)
    if declared is None:
        return None
    return node.resolve_path(declared.path if isinstance(declared, TrustedKeyFile) else declared)


def _is_trusted(node: "NodeSpec", name: str, digest: str) -> bool:
    """Return whether a key that signed a bundle is still trusted: it may have been withdrawn or replaced since."""
    declared = node.resources.trusted_keys.get(name)
    if isinstance(declared, TrustedKeyFile) and declared.not_after and declared.not_after < datetime.now(UTC).date():
        return False
    file = _locate_key(node, name)
    try:
        return file is not None and digest_file(file) == digest
    except OSError:
        return False


def _find_entries(node: "NodeSpec", deployment: str, section: str) -> dict[str, MapEntry]:
    """Return the unresolved resources of a section for a deployment."""
    levels = (node.find_node(section), node.find_node("deployments", deployment, section))
    return {name: entry for one in levels if isinstance(one, MapNode) for name, entry in one.entries.items()}


def select_given(node: "NodeSpec", deployment: str, root: MapNode) -> MapNode:
    """Return the resources of node.yaml that replace declared ones of a spec, by section.

    They include a secret only if a resource of node.yaml needs it and the spec does not declare it.
    """
    at = Position(str(node.path))
    replaced = MapNode(at)
    for section in ("variables", *REPLACED_RESOURCES):
        declared = root.get(section)
        names = declared.entries if isinstance(declared, MapNode) else {}
        entries = {name: one for name, one in _find_entries(node, deployment, section).items() if name in names}
        replaced.entries[section] = _make_section(section, entries, at)
    _place_state(node, deployment, replaced, at)
    needed = {
        reference.parts[1]
        for section in REPLACED_RESOURCES
        for _, text in walk_values((), replaced.entries[section].value)
        for reference in find_references(text.text)
        if reference.parts[:1] == ("secret",) and len(reference.parts) > 1
    }
    secrets = root.get("secrets")
    declared_secrets = secrets.entries if isinstance(secrets, MapNode) else {}
    added = {
        name: one
        for name, one in _find_entries(node, deployment, "secrets").items()
        if name in needed and name not in declared_secrets
    }
    replaced.entries["secrets"] = _make_section("secrets", added, at)
    return replaced


def _place_state(node: "NodeSpec", deployment: str, replaced: MapNode, at: Position) -> None:
    """Set the place of the state's rows to that of the node, if it declares one."""
    state = find_given_state(node, deployment)
    if state is None:
        return
    connection = _find_entries(node, deployment, "connections")[state.connection]
    connections = replaced.entries["connections"].value
    assert isinstance(connections, MapNode)  # noqa: S101 - made just now
    connections.entries[STATE_CONNECTION] = MapEntry(_make_text(at, STATE_CONNECTION), connection.value)
    where = {
        "path": "../state",
        "connection": STATE_CONNECTION,
        **({"schema": state.db_schema} if state.db_schema else {}),
    }
    entries = {key: MapEntry(_make_text(at, key), _make_text(at, text)) for key, text in where.items()}
    replaced.entries["state"] = MapEntry(_make_text(at, "state"), MapNode(at, entries))


def _make_text(at: Position, text: str) -> ScalarNode:
    return ScalarNode(at, text, text, '"')


def _make_section(name: str, entries: Mapping[str, MapEntry], at: Position) -> MapEntry:
    return MapEntry(ScalarNode(at, name, name), MapNode(at, dict(entries)))
