"""Trained models on disk: model.skops holds the fitted estimator, model.json everything that people may want to read.

Pickle is not used, since loading a pickle can run any code. skops builds only types that are trusted: its defaults
and, by algorithm, the types that our estimators consist of.
"""

import json
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from engine.errors import ModelError
from engine.models.classes import find_positive_class
from engine.models.estimators import TRUSTED_TYPES
from engine.models.features import Feature
from engine.models.fitted_model import FittedModel
from engine.models.training import TrainedPredictor, library_versions
from engine.spec.resources.models import TrainModel

MODEL_FORMAT = 1
REMEDY = "train the model again by a build step with mode: force"
FACTS = {"format", "algorithm", "task", "target", "classes", "features", "importance", "left_out", "notes", "details"}
"""The keys of a model.json."""
MAX_MODEL_BYTES = 4 * 2**30
"""The largest unpacked size of a .skops file that is read."""


def save_trained(model: FittedModel, folder: Path) -> None:
    """Write a trained model into `folder`, which must exist.

    Raises
    ------
    ModelError
        skops cannot write the estimator.
    """
    from skops import io

    predictor = model.predictor
    if not isinstance(predictor, TrainedPredictor):
        raise TypeError("only trained models are saved")
    try:
        content = io.dumps(predictor.estimator)
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


def load_trained(name: str, spec: TrainModel, folder: Path) -> FittedModel:
    """Load a model that `save_trained` wrote. Positive class and threshold come from the present spec.

    Raises
    ------
    ModelError
        A file is missing, damaged, or of another format version, or holds types that the algorithm does not need.
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
    trusted = TRUSTED_TYPES[facts["algorithm"]]
    fitted = load_estimator(content, trusted, where, str(folder / "model.skops"), REMEDY)
    features = [Feature(**f | {"categories": tuple(f["categories"])}) for f in facts["features"]]
    classes = tuple(facts["classes"])
    notes = list(facts["notes"])
    then, now = facts["details"]["versions"]["scikit-learn"], library_versions()["scikit-learn"]
    if then != now:
        notes.append(f"trained with scikit-learn {then}, but scored with {now}; {REMEDY}")
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
        notes=tuple(notes),
        details=facts["details"],
    )


def load_estimator(content: bytes, allowed: Any, where: str, file: str, remedy: str) -> Any:
    """Load an estimator from the bytes of a .skops file.

    Parameters
    ----------
    allowed
        Names of types to trust besides those that skops trusts by default.
    file, remedy
        For messages: the file's name, and what to do if it is not a .skops file.

    Raises
    ------
    ModelError
        The bytes are not a .skops file, unpack to more than `MAX_MODEL_BYTES`, or hold types that are not trusted.
        The message lists these; nothing is loaded.
    """
    from skops import io

    try:
        # Sizes and types are read from the archive's directory and schema, before any object is built.
        size = sum(member.file_size for member in ZipFile(BytesIO(content)).infolist())
        if size > MAX_MODEL_BYTES:
            raise ModelError(f"{where}: {file} unpacks to {size:,} bytes; at most {MAX_MODEL_BYTES:,} are read")
        untrusted = [t for t in io.get_untrusted_types(data=content) if t not in allowed]
    except (BadZipFile, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{where}: {file} is not a file that skops wrote ({error}); {REMEDY}") from error
    if untrusted:
        raise ModelError(
            f"{where}: {file} holds types that are not trusted: {', '.join(sorted(untrusted))}. "
            "Nothing was loaded. Check where the file comes from, then add the types that you trust to allow:"
        )
    return io.loads(content, trusted=list(allowed))
