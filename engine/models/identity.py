"""Which model this is: fingerprints over what changes its numbers and nothing else.

Two levels. What changes the fit decides whether a trained version is still the right one; threshold and positive
class change predictions without a new fit, so they are only in the identity that evaluations keep. Names and
descriptions are in neither. Library versions are in neither: an upgrade alone must not replace a model that
production runs; model.json records them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.data.fingerprints import HashesInMemory, combine, of_file
from engine.data.functions import module_file
from engine.data.table import Table
from engine.errors import ModelError
from engine.spec import Project
from engine.spec.resources.models import PythonModel, ScoredModel, SkopsModel, TrainModel
from engine.spec.resources.resource import facts_of

TRAINING_VERSION = "1"
"""Raised when our own training (split, encoding, defaults) changes what the same spec and data give."""


def fit_facts(spec: TrainModel, table: Table) -> dict[str, Any]:
    """Return what a trained version depends on besides the content of its dataset, JSON-ready.

    `spec` and `dataset` are settings, by their paths in the model and in the dataset.
    """
    settings = facts_of(spec, {"task", "target", "algorithm", "parameters", "features", "test", "seed"})
    if spec.features.exclude:
        settings["features"]["exclude"].sort()
    return {
        "spec": settings,
        "dataset": {"entity": table.entity, "columns": {name: {"role": role} for name, role in table.roles.items()}},
        "versions": {"training": TRAINING_VERSION},
    }


def fit_fingerprint(spec: TrainModel, table: Table) -> str:
    """Return what a trained version depends on; equal fingerprints, equal models."""
    return _digest("train", fit_facts(spec, table), table.fingerprint)


def facts(project: Project, name: str, fit: str | None = None) -> dict[str, Any]:
    """Return what the scores of a model depend on, JSON-ready: settings under `spec`, digests of files under `code`.

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
    settings = {"kind", "task", "target", "positive", "threshold"}
    files: list[Path] = []
    match spec:
        case SkopsModel():
            settings |= {"features"}
            files = [skops_path(project, name, spec)]
            if not files[0].is_file():
                raise ModelError(f"model {name}: there is no file {files[0]}")
        case PythonModel():
            settings |= {"function", "arguments", "features"}
            files = [module_file(project.folder_of("models", name), spec.function.partition(":")[0])]
        case ScoredModel():
            settings |= {"prediction", "probability", "features"}
    return {
        "spec": facts_of(spec, settings),
        "fit": fit,
        "code": {path.name: of_file(path, HashesInMemory()) for path in files},
    }


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Return the digest of a model's `facts`. What a file is called plays no part."""
    return _digest("model", facts["spec"], facts["fit"], sorted(facts["code"].values()))


def skops_path(project: Project, name: str, spec: SkopsModel) -> Path:
    """Return the file of a skops model: in its connection's folder, else beside the spec."""
    folder = project.folder_of("models", name)
    if spec.connection is not None:
        folder = project.folder_of("connections", spec.connection) / project.connections[spec.connection].root
    return folder / spec.path


def _digest(*parts: Any) -> str:
    return combine(*(json.dumps(part, sort_keys=True, ensure_ascii=False) for part in parts))
