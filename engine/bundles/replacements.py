"""The resources of a spec that a release replaces: datasets and models are read from files of the bundle.

A dataset keeps its declarations about rows (columns, checks, metrics, entity) as they are written in the spec, with the
values of variables from the deployment. Only the source of its rows is replaced.
"""

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engine.bundles.manifest import BundledDataset, Manifest
from engine.digests import digest_file
from engine.errors import BundleError
from engine.spec.diagnostics import Findings
from engine.spec.reading.include import read_released_files
from engine.spec.resources.datasets import Dataset, FileReading
from engine.spec.spec_files import SpecFiles
from engine.spec.variables.references import escape_references
from engine.spec.yaml.yaml_tree import MapNode, node_at, plain_value


@dataclass(frozen=True, slots=True)
class Replacements:
    """The replacements of a release; the first three attributes are those of a `Revision`.

    `connections` are the names of the declared connections. `notes` are sentences about datasets of the bundle that are
    read from elsewhere.
    """

    included: tuple[str, ...]
    replaced: Mapping[str, Mapping[str, Any]]
    frozen: Mapping[str, str]
    connections: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def collect_replacements(manifest: Manifest, release: Path, remapped: Collection[str]) -> Replacements:
    """Return the replacements of the bundle that was extracted to the folder `release`.

    Parameters
    ----------
    remapped
        The names of the connections that the deployment replaces. Their datasets are read from there, even if the
        bundle has their rows.

    Raises
    ------
    BundleError
        The spec cannot be read, or lacks a resource of the manifest.
    """
    findings = Findings()
    files = read_released_files(release / manifest.spec, release, findings)
    if not files.complete:
        problems = findings.sorted_by_position()
        raise BundleError(
            f"the spec of the bundle cannot be read: {problems[0].message if problems else manifest.spec}"
        )
    datasets: dict[str, dict[str, Any]] = {}
    notes = []
    for name, bundled in sorted(manifest.datasets.items()):
        written = _find_written(files, "datasets", name)
        connection = written.get("connection")
        if connection in remapped:
            notes.append(
                f"dataset {name}: its rows are in the bundle, but are read from connection {connection}, which the "
                "deployment replaces"
            )
        else:
            datasets[name] = _read_from_bundle(bundled, written, manifest)
    models = {
        name: {**_find_written(files, "models", name), "path": _relate_to_declaration(path, files, name, release)}
        for name, path in sorted(manifest.estimators.items())
    }
    for model in models.values():
        model.pop("connection", None)
    frozen = {
        digest_file(release / manifest.datasets[name].path): manifest.datasets[name].fingerprint
        for name in datasets
        if manifest.datasets[name].frozen
    }
    replaced = {"datasets": datasets, "models": models}
    connections = files.root.get("connections")
    declared = tuple(connections.entries) if isinstance(connections, MapNode) else ()
    found = {section: resources for section, resources in replaced.items() if resources}
    return Replacements(tuple(datasets), found, frozen, declared, tuple(notes))


def _find_written(files: SpecFiles, section: str, name: str) -> dict[str, Any]:
    """Return the declaration of a resource as it is written in the spec."""
    node = node_at(files.root, (section, name))
    if not isinstance(node, MapNode):
        raise BundleError(f"the spec of the bundle has no {section}: {name}, which its manifest names")
    written: dict[str, Any] = plain_value(node)
    return written


def _read_from_bundle(bundled: BundledDataset, written: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """Return the declaration of a dataset that is read from files of the bundle."""
    kept = (Dataset if bundled.frozen else FileReading).model_fields
    path = posixpath.relpath(bundled.path, PurePosixPath(manifest.spec).parent)
    declared = {key: value for key, value in written.items() if key in kept}
    entity = {"entity": bundled.entity} if bundled.entity is not None else {}
    return {**declared, **entity, "kind": "file", "path": escape_references(path)}


def _relate_to_declaration(path: str, files: SpecFiles, model: str, release: Path) -> str:
    """Return a path of the bundle relative to the file that declares a model."""
    folder = files.folders.get(("models", model), files.folder)
    return escape_references(posixpath.relpath((release / path).absolute(), folder.absolute()))
