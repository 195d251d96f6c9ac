"""Fingerprints of models: digests of everything that changes a model's results, and of nothing else.

There are two. The fingerprint of the fit decides whether a trained version is still valid. The fingerprint of the model
is stored with evaluations and also covers threshold and positive class, which change predictions without a new fit.
Neither covers names and descriptions. Neither covers library versions, since an upgrade alone must not replace a model
in production; model.json records them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.data.files.hashes import FileHashes, hash_file
from engine.data.table import Table
from engine.data.user_code.functions import find_module_file
from engine.digests import canonical_json, digest_texts
from engine.errors import ModelError
from engine.spec import ProjectSpec
from engine.spec.resources.models import PythonModel, ScoredModel, SkopsModel, TrainModel
from engine.spec.resources.resource import facts_of

TRAINING_VERSION = "1"
"""Raise it when a change of the training code makes earlier models worse than new ones.

A change of which rows are held out does not count: each version keeps its own held-out rows.
"""


def collect_fit_facts(spec: TrainModel, table: Table) -> dict[str, Any]:
    """Return the facts that a trained version depends on besides the content of its dataset, JSON-ready.

    `spec` holds settings by their path in the model's declaration, `dataset` those by their path in the dataset's.
    """
    settings = facts_of(spec, {"task", "target", "algorithm", "parameters", "features", "test", "seed"})
    if spec.features.exclude:
        settings["features"]["exclude"].sort()
    return {
        "spec": settings,
        "dataset": {"entity": table.entity, "columns": {name: {"role": role} for name, role in table.roles.items()}},
        "versions": {"training": TRAINING_VERSION},
    }


def fingerprint_fit(spec: TrainModel, table: Table) -> str:
    """Return the digest of everything on which a trained version depends: equal digests mean equal models."""
    return digest_texts(*map(canonical_json, ("train", collect_fit_facts(spec, table), table.fingerprint)))


def collect_model_facts(
    project: ProjectSpec, name: str, hashes: FileHashes, trained: str | None = None
) -> dict[str, Any]:
    """Return the facts that the scores of a model depend on, JSON-ready.

    `spec` holds settings, `fit` the identity of the trained version, `code` digests of files by file name.

    Parameters
    ----------
    hashes
        Cache of the digests of files.
    trained
        For kind train, the identity of the trained version.

    Raises
    ------
    ModelError
        The file of a skops model does not exist.
    DataError
        The module of a python model does not exist.

    Notes
    -----
    For a python model only the module itself is covered, not its imports.
    """
    spec = project.models[name]
    settings = {"kind", "task", "target", "positive", "threshold"}
    files: list[Path] = []
    match spec:
        case SkopsModel():
            settings |= {"features"}
            files = [find_skops_file(project, name, spec)]
            if not files[0].is_file():
                raise ModelError(f"model {name}: there is no file {files[0]}")
        case PythonModel():
            settings |= {"function", "arguments", "features"}
            files = [find_module_file(project.folder_of("models", name), spec.function.partition(":")[0])]
        case ScoredModel():
            settings |= {"prediction", "probability", "features"}
    declared = facts_of(spec, settings)
    if isinstance(spec, SkopsModel) and spec.task != "regression" and spec.threshold is None:
        # An early engine version predicted the most probable class; its evaluations must not be reused.
        declared["predictions"] = "of the model"
    return {
        "spec": declared,
        "fit": trained,
        "code": {path.name: hash_file(path, hashes) for path in files},
    }


def fingerprint_model(facts: Mapping[str, Any]) -> str:
    """Return the digest of a model's facts. It covers the contents of files, not their names."""
    return digest_texts(*map(canonical_json, ("model", facts["spec"], facts["fit"], sorted(facts["code"].values()))))


def find_skops_file(project: ProjectSpec, name: str, spec: SkopsModel) -> Path:
    """Return the path of a skops model's file, relative to its connection's folder or else to the spec's."""
    return project.check_path(project.root_of("models", name, spec.connection) / spec.path)
