"""Models: training, loading, scoring, performance.

scikit-learn is imported only where an estimator is fitted or rebuilt, since the import takes seconds and a run that
finds its model unchanged does not need it.
"""

from engine.models.classes import ClassValue, label_of, sort_classes, unite_classes
from engine.models.fingerprints import (
    collect_fit_facts,
    collect_model_facts,
    find_skops_file,
    fingerprint_fit,
    fingerprint_model,
)
from engine.models.fitted_model import FittedModel, RowError, score_frame
from engine.models.loading import load_model, observe_classes
from engine.models.performance import Performance, describe_measured_rows, find_labelled, measure_performance
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
from engine.spec.metric_catalogue import METRICS_BY_TASK

__all__ = [
    "METRICS_BY_TASK",
    "TEST_ROWS",
    "ClassValue",
    "FittedModel",
    "Performance",
    "RowError",
    "TrainingResult",
    "UnloadableModelError",
    "VersionObstacle",
    "collect_fit_facts",
    "collect_model_facts",
    "describe_measured_rows",
    "digest_files",
    "find_labelled",
    "find_obstacle",
    "find_skops_file",
    "fingerprint_fit",
    "fingerprint_model",
    "identify_version",
    "label_of",
    "library_versions",
    "load_model",
    "measure_performance",
    "observe_classes",
    "save_trained",
    "score_frame",
    "sort_classes",
    "train_model",
    "unite_classes",
]
