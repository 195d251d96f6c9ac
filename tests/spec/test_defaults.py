"""The defaults of settings that change numbers.

A fingerprint holds only settings that differ from their defaults. If a default changed unnoticed, results that were
computed with the old one would be reused as if they were current.
"""

from typing import Any

from engine.spec.resources import datasets, evaluation_stores, models
from engine.spec.resources.resource import Resource

DEFAULTS: dict[type[Resource], dict[str, Any]] = {
    datasets.Csv: {
        "separator": ",",
        "quote": '"',
        "header": True,
        "null_values": [""],
        "decimal_comma": False,
        "skip_lines": 0,
        "encoding": "utf-8",
    },
    datasets.Column: {"required": False, "unique": False},
    models.TrainModel: {
        "kind": "train",
        "algorithm": "hist_gradient_boosting",
        "seed": 0,
        "threshold": 0.5,
        "frozen": False,
    },
    models.SkopsModel: {"kind": "skops"},
    models.ScoredModel: {"kind": "scored"},
    models.PythonModel: {"kind": "python"},
    models.Features: {},
    models.HoldOut: {"share": 0.2, "seed": 0},
    models.CostMatrix: {"true_positive": 1.0, "false_positive": -1.0, "true_negative": 0.0, "false_negative": 0.0},
    evaluation_stores.DriftSettings: {"confidence": 0.95, "max_rows": 100_000, "seed": 0},
    evaluation_stores.DriftColumns: {},
    datasets.PythonMetric: {"kind": "python"},
}


def test_defaults_that_change_numbers_are_these() -> None:
    """A new key is added here; for a changed default, raise TRAINING_VERSION or KERNEL_VERSION as well."""
    found: dict[type[Resource], dict[str, Any]] = {}
    for resource in DEFAULTS:
        fields = {key: field for key, field in resource.model_fields.items() if not field.is_required()}
        defaults = {key: field.get_default(call_default_factory=True) for key, field in fields.items()}
        # Nested resources have an entry of their own; an absent or empty value means that nothing is set.
        found[resource] = {
            key: value
            for key, value in defaults.items()
            if not isinstance(value, Resource) and value not in (None, [], {})
        }
    assert found == DEFAULTS
