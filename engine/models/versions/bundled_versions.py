"""Trained versions in a bundle: pack them, and check that an extracted version reproduces its scores.

A bundled version may come from anyone: only the types needed by its algorithm are ever loaded from it, and it must
reproduce the scores that were packed with it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from engine.errors import ModelError
from engine.formatting.lists import join_words
from engine.models.estimators import TRUSTED_TYPES
from engine.models.installed_versions import library_versions
from engine.models.versions.persistence import PROBE_ROWS, load_trained, predict_scores
from engine.models.versions.version_files import PROBE_FILE
from engine.spec.resources.models import TrainModel

TOLERANCE = 1e-12
"""Maximum absolute and relative deviation of a score from the packed one: the rounding of sums in another order."""
_SCORE = "score "


def describe_for_bundle(folder: Path) -> tuple[bytes, str]:
    """Return the model.json of a version for a bundle, and the name of the algorithm.

    The version of Python is left out: the same model gives the same bundle, whichever Python fitted it.
    """
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    facts["details"].get("versions", {}).pop("python", None)
    return json.dumps(facts, ensure_ascii=False, indent=1).encode(), facts["algorithm"]


def score_probe(name: str, spec: TrainModel, folder: Path, digests: Mapping[str, str], held_out: Path) -> pl.DataFrame:
    """Return the first held-out rows with their scores by a version."""
    model = load_trained(name, spec, folder, digests)
    rows = pl.read_parquet(held_out).head(PROBE_ROWS).select(model.features)
    return pl.concat([rows, predict_scores(model.predictor, rows, _SCORE)], how="horizontal")


def reproduce_model(name: str, spec: TrainModel, folder: Path, saved_by: Mapping[str, str]) -> None:
    """Load a version of a bundle and compare its scores with the packed ones.

    Parameters
    ----------
    folder
        The folder of the version in an extracted bundle, whose bytes have been verified.
    saved_by
        The versions of Python and of the libraries that made the bundle, by name.

    Raises
    ------
    UntrustedTypesError
        It holds types that its algorithm does not need.
    ModelError
        It cannot be loaded, or a score differs by more than 1e-12; the message names the versions of the libraries.
    """
    where = f"model {name}"
    try:
        algorithm = json.loads((folder / "model.json").read_text(encoding="utf-8"))["algorithm"]
        packed = pl.read_parquet(folder / PROBE_FILE)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise ModelError(f"{where}: its version in the bundle is damaged: {error}") from error
    if algorithm != spec.algorithm or algorithm not in TRUSTED_TYPES:
        raise ModelError(f"{where}: the bundle has a version of another algorithm than {spec.algorithm}: {algorithm}")
    model = load_trained(name, spec, folder, {})
    expected = packed.select(pl.col(f"^{_SCORE}.*$"))
    found = predict_scores(model.predictor, packed.select(model.features), _SCORE)
    if expected.columns != found.columns:
        raise ModelError(f"{where}: its version in the bundle gives other scores than were packed with it")
    then, now = expected.to_numpy(), found.to_numpy()
    wrong = ~np.isclose(then, now, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    if wrong.any():
        largest = np.nanmax(np.abs(then - now))
        raise ModelError(
            f"{where}: {int(wrong.any(axis=1).sum()):,} of {len(then):,} rows that were packed with it have other "
            f"scores here, by up to {largest:.3g}. {_compare_libraries(saved_by)}"
        )


def _compare_libraries(saved_by: Mapping[str, str]) -> str:
    installed: Mapping[str, Any] = library_versions()
    if all(installed.get(library) == then for library, then in saved_by.items()):
        return "The libraries are the same, so the files have been changed, or the processor computes otherwise"
    then, now = (join_words(f"{library} {number}" for library, number in of.items()) for of in (saved_by, installed))
    return f"The bundle was made with {then or 'unknown libraries'}; installed are {now}. Install the same versions"
