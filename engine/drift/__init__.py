"""Two samples in, numbers out: what changed between a reference and a batch, column by column and all together.

A library of its own: it knows polars frames and nothing of specs, stores or models. Every row counts, every statistic
is exact, and the verdicts are calibrated.
"""

from engine.drift.classifier import DomainClassifier, domain_classifier
from engine.drift.drift import ColumnDrift, Drift, compare
from engine.drift.profiles import Column, Profile, profile
from engine.drift.roles import Role, roles
from engine.drift.sampling import sample

KERNEL_VERSION = "1"
"""Changes whenever a number that this package gives for the same data may change."""

__all__ = [
    "KERNEL_VERSION",
    "Column",
    "ColumnDrift",
    "DomainClassifier",
    "Drift",
    "Profile",
    "Role",
    "compare",
    "domain_classifier",
    "profile",
    "roles",
    "sample",
]
