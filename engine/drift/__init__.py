"""Compare a batch with a reference, column by column and all columns together.

The package can be used alone: it takes tables and does not depend on specs, stores or models. All rows are used,
statistics are exact or have certain bounds, and the verdicts are calibrated. The modules below are imported at first
use: a run in which nothing changed needs none of them, and importing numba would take much of its time.
"""

from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily

if TYPE_CHECKING:
    from engine.drift.classifier.cross_fitting import cross_fit_log_odds
    from engine.drift.classifier.domain_classifier import DomainClassifierResult, domain_classifier
    from engine.drift.comparison import ColumnDrift, ComparedGroup, Drift, compare, compare_family, compare_groups
    from engine.drift.distributions.categorical import Categorical
    from engine.drift.distributions.numerical import Numerical
    from engine.drift.power import detectable_drifts
    from engine.drift.profiles.profile import Profile
    from engine.drift.profiles.profiling import profile, profile_segments
    from engine.drift.profiles.roles import infer_role, roles
    from engine.drift.profiles.sampling import number_folds, sample, unite_samples
    from engine.drift.reading.alignment import (
        Alignment,
        KnownColumn,
        align_columns,
        describe_columns,
        find_type_changes,
    )
    from engine.drift.reading.column_families import known_type
    from engine.drift.reading.normalization import Role
    from engine.drift.significance.hierarchy import weigh_groups
    from engine.drift.subgroups.conditions import Condition
    from engine.drift.subgroups.search import Subgroup, count_searched_rows, find_subgroups, score_subgroup

KERNEL_VERSION = "10"
"""Version of the results: raise it whenever a change may give another number for the same data."""

NOTABLE_DRIFT = 0.1
"""A column whose drift is at least this large counts as drifted."""

_LAZY_EXPORTS = {
    "Alignment": "reading.alignment",
    "Categorical": "distributions.categorical",
    "ColumnDrift": "comparison",
    "ComparedGroup": "comparison",
    "Condition": "subgroups.conditions",
    "DomainClassifierResult": "classifier.domain_classifier",
    "Drift": "comparison",
    "KnownColumn": "reading.alignment",
    "Numerical": "distributions.numerical",
    "Profile": "profiles.profile",
    "Role": "reading.normalization",
    "Subgroup": "subgroups.search",
    "align_columns": "reading.alignment",
    "compare": "comparison",
    "compare_family": "comparison",
    "compare_groups": "comparison",
    "count_searched_rows": "subgroups.search",
    "cross_fit_log_odds": "classifier.cross_fitting",
    "describe_columns": "reading.alignment",
    "detectable_drifts": "power",
    "domain_classifier": "classifier.domain_classifier",
    "find_subgroups": "subgroups.search",
    "find_type_changes": "reading.alignment",
    "infer_role": "profiles.roles",
    "known_type": "reading.column_families",
    "number_folds": "profiles.sampling",
    "profile": "profiles.profiling",
    "profile_segments": "profiles.profiling",
    "roles": "profiles.roles",
    "sample": "profiles.sampling",
    "score_subgroup": "subgroups.search",
    "unite_samples": "profiles.sampling",
    "weigh_groups": "significance.hierarchy",
}
__getattr__, __dir__ = export_lazily(__name__, _LAZY_EXPORTS)

__all__ = [
    "KERNEL_VERSION",
    "NOTABLE_DRIFT",
    "Alignment",
    "Categorical",
    "ColumnDrift",
    "ComparedGroup",
    "Condition",
    "DomainClassifierResult",
    "Drift",
    "KnownColumn",
    "Numerical",
    "Profile",
    "Role",
    "Subgroup",
    "align_columns",
    "compare",
    "compare_family",
    "compare_groups",
    "count_searched_rows",
    "cross_fit_log_odds",
    "describe_columns",
    "detectable_drifts",
    "domain_classifier",
    "find_subgroups",
    "find_type_changes",
    "infer_role",
    "known_type",
    "number_folds",
    "profile",
    "profile_segments",
    "roles",
    "sample",
    "score_subgroup",
    "unite_samples",
    "weigh_groups",
]
