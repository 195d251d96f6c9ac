"""Two samples in, numbers out: what changed between a reference and a batch, column by column and all together.

A library of its own: it knows polars frames and nothing of specs, stores or models. Every row counts, every statistic
is exact, and the verdicts are calibrated. The kernels are loaded with the first use: a run that finds everything
unchanged needs none, and loading numba and scipy would be most of its time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.drift.roles import Role, roles

if TYPE_CHECKING:
    from engine.drift.classifier import DomainClassifier, domain_classifier
    from engine.drift.columns import Categorical, Numerical
    from engine.drift.drift import ColumnDrift, Drift, compare
    from engine.drift.profiles import Profile, profile
    from engine.drift.sampling import sample

KERNEL_VERSION = "3"
"""Changes whenever a number that this package gives for the same data may change."""

_AT_FIRST_USE = {
    "Categorical": "columns",
    "ColumnDrift": "drift",
    "DomainClassifier": "classifier",
    "Drift": "drift",
    "Numerical": "columns",
    "Profile": "profiles",
    "compare": "drift",
    "domain_classifier": "classifier",
    "profile": "profiles",
    "sample": "sampling",
}

__all__ = [
    "KERNEL_VERSION",
    "Categorical",
    "ColumnDrift",
    "DomainClassifier",
    "Drift",
    "Numerical",
    "Profile",
    "Role",
    "compare",
    "domain_classifier",
    "profile",
    "roles",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in _AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"engine.drift.{_AT_FIRST_USE[name]}"), name)
