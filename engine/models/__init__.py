"""Models: training, loading, scoring, performance.

The modules below are imported at first use: who only reads what is known of a model's performance needs no data
library. scikit-learn is imported only where an estimator is fitted or rebuilt, since the import takes seconds and a run
that finds its model unchanged does not need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.models.performance_detail import PerformanceDetail, RowCounts
from engine.spec.metric_catalogue import METRICS_BY_TASK

if TYPE_CHECKING:
    from engine.models.advantage import Advantage, measure_advantage
    from engine.models.classes import ClassValue, encode_classes, label_of, sort_classes, unite_classes
    from engine.models.fingerprints import (
        collect_fit_facts,
        collect_model_facts,
        find_skops_file,
        fingerprint_fit,
        fingerprint_model,
    )
    from engine.models.fitted_model import FittedModel, RowError, score_frame
    from engine.models.loading import load_model, observe_classes
    from engine.models.performance import (
        Performance,
        describe_measured_rows,
        find_labelled,
        find_predicted,
        measure_performance,
    )
    from engine.models.persistence import (
        TEST_ROWS,
        VersionObstacle,
        digest_files,
        find_obstacle,
        identify_version,
        save_trained,
    )
    from engine.models.skops_files import UnloadableModelError
    from engine.models.training import TrainingResult, library_versions, train_model

_LAZY_EXPORTS = {
    "Advantage": "advantage",
    "ClassValue": "classes",
    "FittedModel": "fitted_model",
    "Performance": "performance",
    "RowError": "fitted_model",
    "TEST_ROWS": "persistence",
    "TrainingResult": "training",
    "UnloadableModelError": "skops_files",
    "VersionObstacle": "persistence",
    "collect_fit_facts": "fingerprints",
    "collect_model_facts": "fingerprints",
    "describe_measured_rows": "performance",
    "digest_files": "persistence",
    "encode_classes": "classes",
    "find_labelled": "performance",
    "find_obstacle": "persistence",
    "find_predicted": "performance",
    "find_skops_file": "fingerprints",
    "fingerprint_fit": "fingerprints",
    "fingerprint_model": "fingerprints",
    "identify_version": "persistence",
    "label_of": "classes",
    "library_versions": "training",
    "load_model": "loading",
    "measure_advantage": "advantage",
    "measure_performance": "performance",
    "observe_classes": "loading",
    "save_trained": "persistence",
    "score_frame": "fitted_model",
    "sort_classes": "classes",
    "train_model": "training",
    "unite_classes": "classes",
}

__all__ = [
    "METRICS_BY_TASK",
    "TEST_ROWS",
    "Advantage",
    "ClassValue",
    "FittedModel",
    "Performance",
    "PerformanceDetail",
    "RowCounts",
    "RowError",
    "TrainingResult",
    "UnloadableModelError",
    "VersionObstacle",
    "collect_fit_facts",
    "collect_model_facts",
    "describe_measured_rows",
    "digest_files",
    "encode_classes",
    "find_labelled",
    "find_obstacle",
    "find_predicted",
    "find_skops_file",
    "fingerprint_fit",
    "fingerprint_model",
    "identify_version",
    "label_of",
    "library_versions",
    "load_model",
    "measure_advantage",
    "measure_performance",
    "observe_classes",
    "save_trained",
    "score_frame",
    "sort_classes",
    "train_model",
    "unite_classes",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _LAZY_EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"engine.models.{_LAZY_EXPORTS[name]}"), name)
