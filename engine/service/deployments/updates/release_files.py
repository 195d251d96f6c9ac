"""Copies a bundle into an infrastructure, extracts it for a deployment, and writes its revisions.

A row is written before its files are moved into place, so no file is without a row. Leftovers of a killed process in
`staging/` or with a name that begins with a dot are removed by the next one.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.atomic_files import sync_path
from engine.bundles.archive_checks import read_manifest, read_signatures, verify_archive
from engine.bundles.extraction import extract_archive
from engine.bundles.manifest import MANIFEST_FILE, Manifest, parse_manifest
from engine.bundles.registry import brings_signatures
from engine.bundles.replacements import collect_replacements
from engine.errors import BundleError, UsageError
from engine.formatting.hints import suggest_name
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.settings import Care
from engine.service.deployments.updates.node_confinement import check_hooks, describe_confinement
from engine.service.deployments.updates.order import UpdateContext, UpdateOrder
from engine.spec.revisions.revision_file import STATE_CONNECTION, Revision
from engine.store.node import Node, OperationRow, ReceivedBundle, RevisionRow


def receive_bundle(
    node: Node, places: DeploymentPlaces, operation: OperationRow, order: UpdateOrder, context: UpdateContext
) -> str:
    """Copy the archive of a bundle into the infrastructure, also for new signatures; return a text about it."""
    target = places.archive_of(order.bundle)
    present = target.exists() and read_manifest(target).id == order.bundle
    if present and (
        order.archive is None
        or not brings_signatures(target, order.bundle, read_signatures(order.archive), str(target))
    ):
        return f"the bundle {order.bundle[:12]} is here already"
    if order.archive is None:
        raise BundleError(f"the archive of the bundle {order.bundle[:12]} is not here any more: deploy it by its name")
    staging = places.node_folder / "staging" / operation.id
    staging.mkdir(parents=True, exist_ok=True)
    part = staging / target.name
    try:
        shutil.copyfile(order.archive, part)
        manifest = read_manifest(part)
        if manifest.id != order.bundle:
            raise BundleError(f"{order.archive} holds the bundle {manifest.id[:12]}, not {order.bundle[:12]}")
        if manifest.project != order.project:
            raise BundleError(
                f"the bundle {order.bundle_name} belongs to the project {manifest.project!r}, not of {order.project!r}"
            )
        if present:  # invalid signatures must not remove an archive that others use
            verify_archive(part, context.keys, context.require)
        sync_path(part)
        size = part.stat().st_size
        node.add_bundle(
            ReceivedBundle(
                order.bundle, order.project, order.bundle_name, size, node.database.now(), order.by, signers=()
            )
        )
        part.replace(target)
        sync_path(target.parent)
    except OSError as error:
        raise BundleError(f"the bundle cannot be copied into {places.node_folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return f"received {order.bundle_name}, {size:,} bytes"


def verify_bundle(node: Node, places: DeploymentPlaces, order: UpdateOrder, context: UpdateContext) -> str:
    """Check the hash of every file of the bundle, and its signatures; return a text about its signers."""
    verified = verify_archive(places.archive_of(order.bundle), context.keys, context.require)
    received = next((one for one in node.list_bundles() if one.id == order.bundle), None)
    if received is not None:
        node.add_bundle(replace(received, signers=verified.signers))
    return f"signed by {', '.join(verified.signers)}" if verified.signers else "complete; no signature is required"


def extract_release(places: DeploymentPlaces, bundle: str) -> Manifest:
    """Extract the files of a bundle, unless they exist, and return its manifest."""
    release = places.release_of(bundle)
    if release.exists():
        return parse_manifest((release / MANIFEST_FILE).read_bytes())
    return extract_archive(places.archive_of(bundle), release, bundle)


def write_revision_file(
    node: Node, places: DeploymentPlaces, row: RevisionRow, manifest: Manifest, context: UpdateContext
) -> Path:
    """Write the file of a revision, from its row and the manifest of its bundle.

    Report which data are read from elsewhere although the bundle contains them.

    Raises
    ------
    UsageError
        The settings contain names that the bundle lacks, or hooks that are not allowed here.
    """
    values = row.settings["values"]
    check_hooks(context.node_file, Care.from_json(row.settings["care"]))
    signers = next((one.signers for one in node.list_bundles() if one.id == row.bundle), ())
    confinement = describe_confinement(context, places, row.deployment, signers)
    release = places.release_of(row.bundle)
    found = collect_replacements(manifest, release, {*values.get("connections", {}), *confinement.connections})
    replaced: dict[str, dict[str, Any]] = {section: dict(resources) for section, resources in found.replaced.items()}
    for section in ("variables", "connections", "channels", "secrets"):
        if values.get(section):
            replaced[section] = {**replaced.get(section, {}), **values[section]}
    replaced["state"] = {"path": "../state"}
    if state := values.get("state"):
        replaced["connections"] = {**replaced.get("connections", {}), STATE_CONNECTION: state["connection"]}
        schema = {"schema": state["schema"]} if state.get("schema") else {}
        replaced["state"] |= {"connection": STATE_CONNECTION, **schema}
    if values.get("server_url"):
        replaced["server"] = {"url": values["server_url"]}
    for note in found.notes:
        context.report(note)
    _check_names(values, manifest, found.connections, row)
    active = dict(values["scenarios"])
    if row.settings.get("off"):
        active = dict.fromkeys(manifest.scenarios, False)
    revision = Revision(
        deployment=row.deployment,
        number=row.number,
        bundle=row.bundle,
        bundle_name=row.bundle_name,
        spec=os.path.relpath(release / manifest.spec, places.revisions),
        included=found.included,
        frozen=found.frozen,
        replaced=replaced,
        active=active,
        node=confinement.node,
        signers=confinement.signers,
    )
    try:
        return places.write_revision(revision)
    except OSError as error:
        raise BundleError(f"the revision cannot be written into {places.revisions}: {error.strerror}") from error


def _check_names(values: Mapping[str, Any], manifest: Manifest, connections: Sequence[str], row: RevisionRow) -> None:
    """Check that the bundle has what the settings replace; otherwise a setting would silently have no effect."""
    known = {
        "connections": connections,
        "channels": list(manifest.needs.channels),
        "scenarios": list(manifest.scenarios),
    }
    for section, names in known.items():
        for name in values.get(section, {}):
            if name not in names:
                raise UsageError(
                    f"the deployment {row.deployment!r} sets {section} {name!r}, but the bundle {row.bundle_name} has "
                    f"none of that name{suggest_name(name, names)}"
                )
