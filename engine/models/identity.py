"""Which model this is: fingerprints over what changes its numbers and nothing else.

Two levels. What changes the fit decides whether a trained version is still the right one; threshold and positive
class change predictions without a new fit, so they are only in the identity that evaluations keep. Names and
descriptions are in neither. Library versions are in neither: an upgrade alone must not replace a model that
production runs; model.json records them.
"""

import json
from pathlib import Path
from typing import Any

from engine.data.fingerprints import HashesInMemory, combine, of_file
from engine.data.functions import module_file
from engine.data.table import Table
from engine.errors import ModelError
from engine.spec import Project
from engine.spec.resources.models import PythonModel, ScoredModel, SkopsModel, TrainModel

TRAINING_VERSION = "1"
"""Raised when our own training (split, encoding, defaults) changes what the same spec and data give."""


def fit_fingerprint(spec: TrainModel, table: Table) -> str:
    """Return what a trained version depends on; equal fingerprints, equal models."""
    facts = spec.model_dump(include={"task", "target", "algorithm", "parameters", "test", "seed"}) | {
        "include": spec.features.include,
        "exclude": sorted(spec.features.exclude),
        "entity": table.entity,
        "roles": table.roles,
    }
    return _digest("train", TRAINING_VERSION, facts, table.fingerprint)


def fingerprint(project: Project, name: str, fit: str | None = None) -> str:
    """Return what the scores of a model depend on.

    Parameters
    ----------
    fit
        For kind train, the `fit_fingerprint` of the version.

    Raises
    ------
    ModelError
        The file of a skops model is not there.
    DataError
        The module of a python model is not there.

    Notes
    -----
    Of a python model the module itself is looked at, not what it imports.
    """
    spec = project.models[name]
    decision = spec.model_dump(include={"task", "target", "positive", "threshold"})
    match spec:
        case TrainModel():
            return _digest("train", fit, decision)
        case SkopsModel():
            path = skops_path(project, name, spec)
            if not path.is_file():
                raise ModelError(f"model {name}: there is no file {path}")
            return _digest("skops", decision, spec.features.model_dump(), of_file(path, HashesInMemory()))
        case PythonModel():
            module = module_file(project.folder_of("models", name), spec.function.partition(":")[0])
            source = of_file(module, HashesInMemory())
            return _digest("python", decision, spec.model_dump(include={"function", "arguments", "features"}), source)
        case ScoredModel():
            return _digest("scored", decision, spec.model_dump(include={"prediction", "probability", "features"}))


def skops_path(project: Project, name: str, spec: SkopsModel) -> Path:
    """Return the file of a skops model: in its connection's folder, else beside the spec."""
    folder = project.folder_of("models", name)
    if spec.connection is not None:
        folder = project.folder_of("connections", spec.connection) / project.connections[spec.connection].root
    return folder / spec.path


def _digest(*parts: Any) -> str:
    return combine(*(json.dumps(part, sort_keys=True, ensure_ascii=False) for part in parts))
