"""Model versions of a bundle that come into the state of a deployment, where nothing is trained for them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import models
from engine.bundles.manifest import BundledModel, Manifest, Provenance
from engine.errors import BundleError
from engine.models.bundled_versions import PROBE_FILE, reproduce_model
from engine.spec import ProjectSpec
from engine.spec.resources.models import TrainModel
from engine.store import ModelVersion, Store


def prove_models(project: ProjectSpec, manifest: Manifest, release: Path, provenance: Provenance) -> None:
    """Load the model versions of an extracted bundle, and compare their scores with the packed ones.

    Raises
    ------
    BundleError
        The spec has no such model.
    ModelError
        As `reproduce_model`.
    """
    for name, bundled in manifest.models.items():
        reproduce_model(name, _find_trained(project, name), release / bundled.folder, _list_libraries(provenance))


def import_models(
    project: ProjectSpec, store: Store, manifest: Manifest, release: Path, provenance: Provenance
) -> dict[str, int]:
    """Add the model versions of a bundle to a state, where they are not there yet; return their numbers by model.

    They count once `store.models.replace_active` says so. What computes something else than it did is not added.

    Raises
    ------
    BundleError, ModelError
        As `prove_models`; or a version is not what the manifest says.
    """
    numbers = {}
    for name, bundled in manifest.models.items():
        with store.locks.hold(f"model {name}", wait=True):
            present = store.models.find_same(name, bundled.identity)
            if present is None:
                spec = _find_trained(project, name)
                reproduce_model(name, spec, release / bundled.folder, _list_libraries(provenance))
                present = _import_version(name, bundled, store, release / bundled.folder)
            numbers[name] = present.version
    return numbers


def _find_trained(project: ProjectSpec, name: str) -> TrainModel:
    spec = project.models.get(name)
    if not isinstance(spec, TrainModel):
        raise BundleError(f"the bundle has a version of model {name}, but its spec has no model of that name to train")
    return spec


def _import_version(name: str, bundled: BundledModel, store: Store, source: Path) -> ModelVersion:
    with store.folders.stage() as folder:
        for path in sorted(source.iterdir()):
            if path.name != PROBE_FILE:
                shutil.copyfile(path, folder / path.name)
        if (folder / models.TEST_ROWS).is_file() and models.identify_version(folder) != bundled.identity:
            raise BundleError(f"model {name}: its version in the bundle is not the one that the manifest names")
        facts: Mapping[str, Any] = {
            "spec": {role: bundled.settings.get(role, {}) for role in ("model", "dataset")},
            "datasets": {table: {"fingerprint": fingerprint} for table, fingerprint in bundled.datasets},
            "versions": bundled.settings.get("versions", {}),
            "files": models.digest_files(folder),
            "held_out": bundled.held_out,
            "confirmed": dict(models.library_versions()),
        }
        return store.models.add(name, bundled.fingerprint, folder, facts, bundled.identity)


def _list_libraries(provenance: Provenance) -> dict[str, str]:
    return {"python": provenance.python, **provenance.packages}
