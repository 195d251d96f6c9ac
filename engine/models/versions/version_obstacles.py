"""Find out why a trained version cannot be used with the installed libraries."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from engine.data.files.hashes import FileHashes
from engine.formatting.lists import join_words
from engine.models.installed_versions import library_versions
from engine.models.versions.version_files import PROBE, TEST_ROWS, verify_files
from engine.spec.resources.models import TrainModel

PROBE_TOLERANCE = 1e-9
"""Maximum absolute and relative deviation of a prediction from the stored one: sums in another order."""


class VersionObstacle(NamedTuple):
    """The reason why a trained version cannot be used, as a sentence, and the versions of the differing libraries."""

    says: str
    saved_by: Mapping[str, str]
    installed: Mapping[str, str]


def find_obstacle(
    name: str,
    spec: TrainModel,
    folder: Path,
    version: int,
    digests: Mapping[str, str],
    confirmed: Mapping[str, str],
    hashes: FileHashes,
) -> VersionObstacle | Mapping[str, str]:
    """Return why a trained version cannot be used with the installed libraries.

    If it can be used, return the versions of the libraries with which it was last confirmed.

    The version is loaded, and predicts the rows of its probe, only if the installed libraries are neither those that
    saved it nor those in `confirmed`, because importing scikit-learn takes a second. An update that cannot load the
    version is an obstacle, and so is one that changes its predictions, because its reference was scored with the old
    ones.

    Parameters
    ----------
    digests
        The digests of its files; empty if an engine version that kept none saved it.
    confirmed
        The versions of the libraries that are known to give the same predictions.
    hashes
        Cache of the digests of files.

    Raises
    ------
    ModelError
        A file has changed since it was saved, or is missing.
    """
    verify_files(f"model {name}", folder, version, digests, hashes)
    try:
        saved_by = json.loads((folder / "model.json").read_text(encoding="utf-8"))["details"]["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        return confirmed  # damage is reported when the version is loaded; a plan has versions without a model
    installed = library_versions()
    if installed in (saved_by, confirmed):
        return confirmed
    changed = [library for library in installed if installed[library] != saved_by.get(library)]
    before, after = ({one: of.get(one, "of unknown version") for one in changed} for of in (saved_by, installed))
    then, now = (join_words(f"{library} {number}" for library, number in of.items()) for of in (before, after))
    import numpy as np
    import polars as pl

    from engine.models.versions.persistence import PROBE_ROWS, load_trained, predict_scores
    from engine.models.versions.skops_files import UnloadableModelError, UntrustedTypesError

    try:
        model = load_trained(name, spec, folder, digests)
    except (UnloadableModelError, UntrustedTypesError):
        # Without digests, types must be trusted, and the defaults of skops have changed since.
        return VersionObstacle(f"the installed {now} cannot load version {version}, which {then} saved", before, after)
    if not ((folder / PROBE).is_file() and (folder / TEST_ROWS).is_file()):
        return installed
    kept = pl.read_parquet(folder / PROBE)
    predicted = predict_scores(model.predictor, pl.read_parquet(folder / TEST_ROWS).head(PROBE_ROWS))
    if np.allclose(kept.to_numpy(), predicted.to_numpy(), rtol=PROBE_TOLERANCE, atol=PROBE_TOLERANCE):
        return installed
    says = f"version {version}, which {then} saved, predicts something else with the installed {now}"
    return VersionObstacle(says, before, after)
