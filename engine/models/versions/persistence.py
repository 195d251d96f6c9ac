"""Trained models on disk.

model.skops holds the fitted estimator, model.json everything that people may want to read, probe.parquet the model's
predictions for the first held-out rows when it was saved. Pickle is not used, since loading a pickle can run any code.

The digests of the files are kept in the state's database, so files written by the engine itself need no trust settings.
Whether the installed libraries can load them is a separate question: see `version_obstacles`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import polars as pl

from engine.data.fingerprints import hash_frame
from engine.digests import canonical_json, digest_bytes, digest_file, digest_texts
from engine.drift import Role
from engine.drift.reading.alignment import KnownColumn
from engine.errors import ModelError
from engine.models.classes import find_positive_class
from engine.models.estimators import TRUSTED_TYPES
from engine.models.features import Feature
from engine.models.fitted_model import FittedModel, Predictor
from engine.models.training import TrainedPredictor, TrainingResult
from engine.models.versions.skops_files import (
    dump_estimator,
    load_estimator,
)
from engine.models.versions.version_files import PROBE, REMEDY, TEST_ROWS, describe_changed_file
from engine.spec.resources.models import TrainModel

MODEL_FORMAT = 1
FACTS = {"format", "algorithm", "task", "target", "classes", "features", "importance", "left_out", "notes", "details"}
"""The keys of a model.json."""
PROBE_ROWS = 200


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
    except RecursionError as error:  # from an estimator that refers to itself, as boosting with `scoring` does
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
    predict_scores(predictor, trained.held_out.head(PROBE_ROWS)).write_parquet(folder / PROBE)


def predict_scores(predictor: Predictor, rows: pl.DataFrame, prefix: str = "") -> pl.DataFrame:
    """Return the probabilities (columns 0, 1, …) or the values (column value) that a model predicts for rows."""
    predicted = predictor.predict(rows)
    if predicted.probabilities is not None:
        return pl.DataFrame({f"{prefix}{i}": column for i, column in enumerate(predicted.probabilities.T)})
    return pl.DataFrame({f"{prefix}value": predicted.values})


def identify_version(folder: Path) -> str:
    """Return a digest of the content of a trained version; it does not depend on where the version is or who copied it.

    It covers the estimator, the description of the model in model.json, and the held-out rows. It does not cover the
    versions of the libraries that saved it, nor how the rows were written.
    """
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    details = {name: value for name, value in facts["details"].items() if name != "versions"}
    rows = hash_frame(pl.read_parquet(folder / TEST_ROWS))
    return digest_texts(digest_file(folder / "model.skops"), canonical_json({**facts, "details": details}), rows)


def load_trained(name: str, spec: TrainModel, folder: Path, digests: Mapping[str, str]) -> FittedModel:
    """Load a model written by `save_trained`. Positive class and threshold come from the present spec.

    All types in a file with a stored digest are trusted if its bytes match. Without a digest, only the types needed by
    the algorithm are.

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
        raise ModelError(describe_changed_file(where, file))
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
