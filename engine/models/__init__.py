"""Models: training, loading, scoring, performance.

The modules below are imported at first use: reading a model's stored performance needs no data library. scikit-learn is
imported only where an estimator is fitted or rebuilt, since its import takes seconds and a run that finds its model
unchanged does not need it.
"""

from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily
from engine.models.metrics.performance_detail import (
    EstimateDetail,
    PerformanceDetail,
    RowCounts,
    describe_measured_rows,
)
from engine.spec.metrics.catalogue import METRICS_BY_TASK

if TYPE_CHECKING:
    from engine.models.classes import ClassValue, encode_classes, label_of, sort_classes, unite_classes
    from engine.models.estimation.contradictions import Contradiction, compare_with_labels
    from engine.models.estimation.estimates import Estimates, Rows, estimate_performance, fit_reference
    from engine.models.estimation.expected_metrics import LOSSES, Predicted, measure_losses
    from engine.models.estimation.expected_outcomes import KnownRows
    from engine.models.estimation.prediction_powered import FOLDS, are_enough, correct_by_labels
    from engine.models.estimation.reference_weights import LARGEST_WEIGHT, balance_weights, weigh_reference
    from engine.models.fingerprints import (
        collect_fit_facts,
        collect_model_facts,
        find_skops_file,
        fingerprint_fit,
        fingerprint_model,
    )
    from engine.models.fitted_model import FittedModel, RowError, score_frame
    from engine.models.installed_versions import library_versions
    from engine.models.loading import load_model, observe_classes
    from engine.models.metrics.advantage import Advantage, measure_advantage
    from engine.models.metrics.classification import arrange_gains
    from engine.models.metrics.intervals import Units
    from engine.models.metrics.performance import (
        Performance,
        find_labelled,
        find_predicted,
        measure_performance,
        number_entities,
    )
    from engine.models.training import TrainingResult, train_model
    from engine.models.versions.persistence import identify_version, save_trained
    from engine.models.versions.skops_files import UnloadableModelError
    from engine.models.versions.version_files import TEST_ROWS, digest_files
    from engine.models.versions.version_obstacles import VersionObstacle, find_obstacle

_LAZY_EXPORTS = {
    "Advantage": "metrics.advantage",
    "ClassValue": "classes",
    "Contradiction": "estimation.contradictions",
    "Estimates": "estimation.estimates",
    "FOLDS": "estimation.prediction_powered",
    "FittedModel": "fitted_model",
    "KnownRows": "estimation.expected_outcomes",
    "LARGEST_WEIGHT": "estimation.reference_weights",
    "LOSSES": "estimation.expected_metrics",
    "Performance": "metrics.performance",
    "Predicted": "estimation.expected_metrics",
    "RowError": "fitted_model",
    "Rows": "estimation.estimates",
    "TEST_ROWS": "versions.version_files",
    "TrainingResult": "training",
    "Units": "metrics.intervals",
    "UnloadableModelError": "versions.skops_files",
    "VersionObstacle": "versions.version_obstacles",
    "are_enough": "estimation.prediction_powered",
    "arrange_gains": "metrics.classification",
    "balance_weights": "estimation.reference_weights",
    "collect_fit_facts": "fingerprints",
    "collect_model_facts": "fingerprints",
    "compare_with_labels": "estimation.contradictions",
    "correct_by_labels": "estimation.prediction_powered",
    "digest_files": "versions.version_files",
    "encode_classes": "classes",
    "estimate_performance": "estimation.estimates",
    "find_labelled": "metrics.performance",
    "find_obstacle": "versions.version_obstacles",
    "find_predicted": "metrics.performance",
    "find_skops_file": "fingerprints",
    "fingerprint_fit": "fingerprints",
    "fingerprint_model": "fingerprints",
    "fit_reference": "estimation.estimates",
    "identify_version": "versions.persistence",
    "label_of": "classes",
    "library_versions": "installed_versions",
    "load_model": "loading",
    "measure_advantage": "metrics.advantage",
    "measure_losses": "estimation.expected_metrics",
    "measure_performance": "metrics.performance",
    "number_entities": "metrics.performance",
    "observe_classes": "loading",
    "save_trained": "versions.persistence",
    "score_frame": "fitted_model",
    "sort_classes": "classes",
    "train_model": "training",
    "unite_classes": "classes",
    "weigh_reference": "estimation.reference_weights",
}
__getattr__, __dir__ = export_lazily(__name__, _LAZY_EXPORTS)

__all__ = [
    "FOLDS",
    "LARGEST_WEIGHT",
    "LOSSES",
    "METRICS_BY_TASK",
    "TEST_ROWS",
    "Advantage",
    "ClassValue",
    "Contradiction",
    "EstimateDetail",
    "Estimates",
    "FittedModel",
    "KnownRows",
    "Performance",
    "PerformanceDetail",
    "Predicted",
    "RowCounts",
    "RowError",
    "Rows",
    "TrainingResult",
    "Units",
    "UnloadableModelError",
    "VersionObstacle",
    "are_enough",
    "arrange_gains",
    "balance_weights",
    "collect_fit_facts",
    "collect_model_facts",
    "compare_with_labels",
    "correct_by_labels",
    "describe_measured_rows",
    "digest_files",
    "encode_classes",
    "estimate_performance",
    "find_labelled",
    "find_obstacle",
    "find_predicted",
    "find_skops_file",
    "fingerprint_fit",
    "fingerprint_model",
    "fit_reference",
    "identify_version",
    "label_of",
    "library_versions",
    "load_model",
    "measure_advantage",
    "measure_losses",
    "measure_performance",
    "number_entities",
    "observe_classes",
    "save_trained",
    "score_frame",
    "sort_classes",
    "train_model",
    "unite_classes",
    "weigh_reference",
]
