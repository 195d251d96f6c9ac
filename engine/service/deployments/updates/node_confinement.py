"""The settings of updates on a node: taken from node.yaml, and never from the request.

A deployment in the folder of a node is always confined by the node: `engine deploy` with that folder, and processes
that conclude abandoned operations, find the node by the mark of the folder, or by its revisions.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.errors import UsageError
from engine.service.deployments.node_mark import find_marked_node
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.settings import Care
from engine.service.deployments.updates.order import UpdateContext
from engine.spec.reading.node_file import load_node
from engine.spec.revisions.confinement import digest_trusted_keys, merge_given, select_variables
from engine.spec.revisions.revision_file import find_node_path


def confine_update(context: UpdateContext, places: DeploymentPlaces, deployment: str) -> UpdateContext:
    """Return the context of an update: on a node, with its trusted keys and the environment of the deployment.

    Raises
    ------
    SpecError
        node.yaml cannot be read, or has errors.
    UsageError
        A trusted key cannot be read.
    """
    node_file = context.node_file or find_marked_node(places.node_folder)
    if node_file is None and (newest := places.find_newest_revision()) is not None:
        node_file = find_node_path(newest)
    if node_file is None:
        return context
    node = load_node(node_file)
    keys = context.keys
    if node.resources.trusted_keys:
        from engine.bundles.signatures import load_trusted_keys  # cryptography, where there are keys

        keys = load_trusted_keys(node.resources.trusted_keys, node.folder)
    given = merge_given(node, deployment)
    environ = select_variables(given, context.environ)
    return replace(
        context,
        node_file=node_file,
        keys=keys,
        require=node.resources.require,
        keep_bundles=node.resources.limits.bundles,
        environ=environ,
    )


@dataclass(frozen=True, slots=True)
class RevisionConfinement:
    """The confinement of a revision: `node` and `signers` of its file, and the connections that the node provides."""

    node: str = ""
    signers: Mapping[str, str] = field(default_factory=dict)
    connections: frozenset[str] = frozenset()


def describe_confinement(
    context: UpdateContext, places: DeploymentPlaces, deployment: str, signers: Iterable[str]
) -> RevisionConfinement:
    """Return the confinement of a revision of a bundle, given the trusted keys that signed it."""
    if context.node_file is None:
        return RevisionConfinement()
    node = load_node(context.node_file)
    path = os.path.relpath(context.node_file.absolute(), places.revisions.absolute())
    given = merge_given(node, deployment)
    return RevisionConfinement(path, digest_trusted_keys(node, signers), frozenset(given.connections))


def check_hooks(node_file: Path | None, care: Care) -> None:
    """Check that the hooks of a deployment may run, since its settings are unsigned.

    Raises
    ------
    UsageError
        Hooks are not allowed.
    """
    hooks = [argv[0] for argv, _ in (*care.before, *care.after)]
    if node_file is None or not hooks or load_node(node_file).resources.allow_code:
        return
    raise UsageError(
        f"the hooks {', '.join(hooks)} of this deployment do not run here: they come with its settings, and "
        f"{node_file} does not contain allow_code: true"
    )
