"""Models: training, loading, scoring, performance.

scikit-learn is imported only where an estimator is fitted or rebuilt, since the import takes seconds and a run that
finds its model unchanged does not need it.
"""

from engine.models.fitted import FittedModel, score
from engine.models.identity import facts, fingerprint, fit_facts, fit_fingerprint, skops_path
from engine.models.loading import load
from engine.models.performance import METRICS, Performance, performance
from engine.models.saved import save
from engine.models.training import Trained, train

__all__ = [
    "METRICS",
    "FittedModel",
    "Performance",
    "Trained",
    "facts",
    "fingerprint",
    "fit_facts",
    "fit_fingerprint",
    "load",
    "performance",
    "save",
    "score",
    "skops_path",
    "train",
]
