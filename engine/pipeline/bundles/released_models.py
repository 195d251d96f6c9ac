"""Imports the model versions of a release into the state of its deployment, without training."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine import models
from engine.bundles.manifest import (
    MANIFEST_FILE,
    PROVENANCE_FILE,
    BundledModel,
    Manifest,
    Provenance,
    decode_document,
    parse_manifest,
)
from engine.errors import BundleError
from engine.formatting.lists import join_words
from engine.models.versions.version_files import PROBE_FILE
from engine.spec import ProjectSpec, load
from engine.spec.resources.models import TrainModel
from engine.store import ModelVersion, Store
from engine.store.location import StateLocation, locate_state


def reproduce_models(project: ProjectSpec, manifest: Manifest, release: Path) -> str:
    """Load the model versions of a release, and compare their scores with the packed ones; return the result as text.

    Raises
    ------
    BundleError
        The spec has no such model.
    ModelError
        As `reproduce_model`.
    """
    from engine.models.versions.bundled_versions import reproduce_model

    saved_by = _read_libraries(release)
    for name, bundled in manifest.models.items():
        reproduce_model(name, _find_trained(project, name), release / bundled.folder, saved_by)
    proved = [f"{name} gives the same scores for {one.probe_rows:,} rows" for name, one in manifest.models.items()]
    return join_words(proved)


def import_models(
    project: ProjectSpec,
    manifest: Manifest,
    release: Path,
    state: Path | StateLocation,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, int]:
    """Activate the model versions of a release in a state; add missing ones.

    For models outside the release, the version is again chosen by the data. `report` is called if the tables of the
    state have been migrated.

    Returns
    -------
    The number of each version in the state, by model.

    Raises
    ------
    BundleError, ModelError
        As `reproduce_models`, for an added version; or it differs from the manifest.
    StoreError
        The state cannot be written.
    """
    from engine.models.versions.bundled_versions import reproduce_model

    saved_by, numbers = _read_libraries(release), {}
    with Store.open(state) as store:
        if migration := store.database.migration:
            report(migration)
        for name, bundled in manifest.models.items():
            # Not under the lock of the model, which a training may hold for hours: only updates add versions of
            # releases, and a deployment has one update at a time.
            present = store.models.find_same(name, bundled.identity)
            if present is None:
                spec = _find_trained(project, name)
                reproduce_model(name, spec, release / bundled.folder, saved_by)
                present = _add_version(name, bundled, store, release / bundled.folder)
            numbers[name] = present.version
        by = project.revision.release if project.revision else manifest.id
        store.models.replace_active(numbers, by, project.revision_number)
    return numbers


def activate_models(
    spec: Path, release: Path, environ: Mapping[str, str], report: Callable[[str], None] = lambda _: None
) -> dict[str, int]:
    """Activate the model versions of a release in a revision of its deployment; `spec` is the file of the revision.

    Call this before the revision is active: it does not affect the currently active revision.
    """
    project = load(spec, environ=environ)
    manifest = parse_manifest((release / MANIFEST_FILE).read_bytes())
    return import_models(project, manifest, release, locate_state(project, environ), report)


def continue_models(spec: Path, before: int, environ: Mapping[str, str]) -> None:
    """Activate in a revision, whose file is `spec`, the model versions of the revision `before`."""
    project = load(spec, environ=environ)
    with Store.open(locate_state(project, environ)) as store:
        store.models.continue_active(before, project.revision_number)


def _find_trained(project: ProjectSpec, name: str) -> TrainModel:
    spec = project.models.get(name)
    if not isinstance(spec, TrainModel):
        raise BundleError(f"the bundle has a version of model {name}, but its spec has no model of that name to train")
    return spec


def _add_version(name: str, bundled: BundledModel, store: Store, source: Path) -> ModelVersion:
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
            "confirmed": dict(models.library_versions()),  # its scores were just compared
        }
        return store.models.add(name, bundled.fingerprint, folder, facts, bundled.identity)


def _read_libraries(release: Path) -> dict[str, str]:
    """Return the versions of Python and of the libraries with which the bundle of a release was created."""
    found = decode_document(Provenance, (release / PROVENANCE_FILE).read_bytes(), "provenance")
    return {"python": found.python, **found.packages}
