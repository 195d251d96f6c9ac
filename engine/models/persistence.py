"""Trained models on disk.

model.skops holds the fitted estimator, model.json everything that people may want to read, probe.parquet what the model
predicted for the first held-out rows when it was saved. Pickle is not used, since loading a pickle can run any code.

The digests of the files are kept in the state's database, so a file that the engine wrote itself is never a question of
trust. Whether the installed libraries can load it is another question: see `find_obstacle`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from engine.data.file_hashes import FileHashes, hash_file
from engine.data.fingerprints import hash_frame
from engine.digests import canonical_json, digest_bytes, digest_file, digest_texts
from engine.drift import Role
from engine.drift.reading.alignment import KnownColumn
from engine.errors import ModelError
from engine.formatting.lists import join_words
from engine.models.classes import find_positive_class
from engine.models.estimators import TRUSTED_TYPES
from engine.models.features import Feature
from engine.models.fitted_model import FittedModel, Predictor
from engine.models.skops_files import (
    UnloadableModelError,
    UntrustedTypesError,
    dump_estimator,
    load_estimator,
)
from engine.models.training import TrainedPredictor, TrainingResult, library_versions
from engine.spec.resources.models import TrainModel

MODEL_FORMAT = 1
REMEDY = "train it again by a build step whose target is the model itself, with mode: force"
FACTS = {"format", "algorithm", "task", "target", "classes", "features", "importance", "left_out", "notes", "details"}
"""The keys of a model.json."""
TEST_ROWS = "test.parquet"
"""The held-out rows of a trained version."""
PROBE = "probe.parquet"
PROBE_ROWS = 200
PROBE_TOLERANCE = 1e-9
"""How far a prediction may be from the kept one, absolute and relative, to count as the same: sums in another order."""


def save_trained(trained: TrainingResult, folder: Path) -> None:
    """Write a trained model and its held-out rows into `folder`, which must exist.

    Raises
    ------
    ModelError
        skops cannot write the estimator.
    """
    model, predictor = trained.model, trained.model.predictor
    if not isinstance(predictor, TrainedPredictor):
        raise TypeError("only trained models are saved")
    try:
        content = dump_estimator(predictor.estimator)
    except RecursionError as error:  # of an estimator that refers to itself, as boosting with `scoring` does
        raise ModelError(
            f"model {model.name}: skops cannot save an estimator with these parameters: remove `scoring`"
        ) from error
    (folder / "model.skops").write_bytes(content)
    facts = {
        "format": MODEL_FORMAT,
        "algorithm": predictor.algorithm,
        "task": model.task,
        "target": model.target,
        "classes": list(model.classes),
        "features": [asdict(f) for f in predictor.features],
        "importance": model.importance,
        "left_out": dict(model.left_out),
        "notes": list(model.notes),
        "details": dict(model.details),
    }
    (folder / "model.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    trained.held_out.write_parquet(folder / TEST_ROWS)
    _predict_probe(predictor, trained.held_out).write_parquet(folder / PROBE)


def _predict_probe(predictor: Predictor, held_out: pl.DataFrame) -> pl.DataFrame:
    """Return the probabilities, or the values, that a model predicts for the first held-out rows."""
    predicted = predictor.predict(held_out.head(PROBE_ROWS))
    if predicted.probabilities is not None:
        return pl.DataFrame({str(i): column for i, column in enumerate(predicted.probabilities.T)})
    return pl.DataFrame({"value": predicted.values})


@dataclass(frozen=True, slots=True)
class VersionObstacle:
    """Why a trained version cannot be used: the sentence, and the versions of the libraries that differ, by name."""

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

    If it can, return the versions of the libraries with which it was last confirmed.

    The version is loaded, and predicts the rows of its probe, only if neither the libraries that saved it nor those in
    `confirmed` are the installed ones: scikit-learn takes a second to import. An update that cannot load the version is
    an obstacle, and so is one under which it predicts something else: its reference was scored by the former.

    Parameters
    ----------
    digests
        The digests of its files; empty if a version of the engine that kept none has saved it.
    confirmed
        The versions of the libraries that have already been seen to give the same predictions.
    hashes
        Cache of the digests of files.

    Raises
    ------
    ModelError
        A file has changed since it was saved, or is missing.
    """
    _verify_files(f"model {name}", folder, version, digests, hashes)
    try:
        saved_by = json.loads((folder / "model.json").read_text(encoding="utf-8"))["details"]["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        return confirmed  # what is damaged is told when it is loaded; a plan has versions without a model
    installed = library_versions()
    if installed in (saved_by, confirmed):
        return confirmed
    changed = [library for library in installed if installed[library] != saved_by.get(library)]
    before, after = ({one: of.get(one, "of unknown version") for one in changed} for of in (saved_by, installed))
    then, now = (join_words(f"{library} {number}" for library, number in of.items()) for of in (before, after))
    try:
        model = load_trained(name, spec, folder, digests)
    except (UnloadableModelError, UntrustedTypesError):
        # Types are a question of trust only where no digest is kept, and then skops has other defaults than it had.
        return VersionObstacle(f"the installed {now} cannot load version {version}, which {then} saved", before, after)
    if not ((folder / PROBE).is_file() and (folder / TEST_ROWS).is_file()):
        return installed
    kept = pl.read_parquet(folder / PROBE)
    predicted = _predict_probe(model.predictor, pl.read_parquet(folder / TEST_ROWS))
    if np.allclose(kept.to_numpy(), predicted.to_numpy(), rtol=PROBE_TOLERANCE, atol=PROBE_TOLERANCE):
        return installed
    says = f"version {version}, which {then} saved, predicts something else with the installed {now}"
    return VersionObstacle(says, before, after)


def digest_files(folder: Path) -> dict[str, str]:
    """Return the digests of the files in a folder, by name."""
    return {path.name: digest_file(path) for path in sorted(folder.iterdir())}


def identify_version(folder: Path) -> str:
    """Return the digest of a trained version by what its files say, wherever the version is and whoever has copied it.

    It covers the estimator, what model.json says of the model, and the held-out rows. It does not cover the versions of
    the libraries that saved it, nor how the rows were written.
    """
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    details = {name: value for name, value in facts["details"].items() if name != "versions"}
    rows = hash_frame(pl.read_parquet(folder / TEST_ROWS))
    return digest_texts(digest_file(folder / "model.skops"), canonical_json({**facts, "details": details}), rows)


def _verify_files(where: str, folder: Path, version: int, digests: Mapping[str, str], hashes: FileHashes) -> None:
    """Raise a ModelError if a file of a trained version is not the one that the engine wrote."""
    for file, digest in digests.items():
        path = (folder / file).resolve()  # a plan has links to the files of the state
        if not path.is_file():
            raise ModelError(f"{where}: {path} of version {version} is missing: restore it from a backup, or {REMEDY}")
        if hash_file(path, hashes) != digest:
            raise ModelError(_describe_changed_file(where, path))


def _describe_changed_file(where: str, path: Path) -> str:
    return f"{where}: {path} has changed since the engine wrote it: restore it from a backup, or {REMEDY}"


def load_trained(name: str, spec: TrainModel, folder: Path, digests: Mapping[str, str]) -> FittedModel:
    """Load a model that `save_trained` wrote. Positive class and threshold come from the present spec.

    All types of a file are trusted whose bytes have the kept digest. Without a digest, only those that the algorithm
    needs.

    Raises
    ------
    UnloadableModelError
        The installed libraries cannot load it.
    ModelError
        A file is missing, damaged, changed, or of another format version, or holds types that the algorithm does not
        need.
    """
    where = f"model {name}"
    try:
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        content = (folder / "model.skops").read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: the trained version in {folder} cannot be read: {error}") from error
    if not isinstance(facts, dict) or not facts.keys() >= FACTS:
        raise ModelError(f"{where}: {folder / 'model.json'} is damaged: {REMEDY}")
    if facts["format"] != MODEL_FORMAT:
        raise ModelError(
            f"{where}: {folder / 'model.json'} has format {facts['format']}; this engine reads {MODEL_FORMAT}"
        )
    file = folder / "model.skops"
    kept = digests.get(file.name)
    if kept is not None and kept != digest_bytes(content):
        raise ModelError(_describe_changed_file(where, file))
    trusted = None if kept is not None else TRUSTED_TYPES[facts["algorithm"]]
    fitted, warned = load_estimator(content, trusted, where, str(file), REMEDY)
    features = [Feature(**f | {"categories": tuple(f["categories"])}) for f in facts["features"]]
    classes = tuple(facts["classes"])
    return FittedModel(
        name=name,
        task=facts["task"],
        target=facts["target"],
        features=tuple(f.name for f in features),
        predictor=TrainedPredictor(facts["algorithm"], features, classes, fitted, where),
        classes=classes,
        known_classes=classes,
        positive=find_positive_class(classes, spec.positive, where) if spec.task == "binary_classification" else None,
        threshold=spec.threshold,
        importance=facts["importance"],
        left_out=facts["left_out"],
        known={f.name: KnownColumn(Role(f.role), f.family, exact=True) for f in features},
        notes=(*facts["notes"], *warned),
        details=facts["details"],
    )
