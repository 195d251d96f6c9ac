"""The defaults of settings that change numbers.

A fingerprint holds only settings that differ from their defaults. If a default changed unnoticed, results that were
computed with the old one would be reused as if they were current.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.spec import project
from engine.spec.resources import datasets, evaluation_stores, models
from engine.spec.resources.resource import Resource, facts_of

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


def list_resources(value: object) -> Iterator[Resource]:
    if isinstance(value, Resource):
        yield value
        yield from (one for key in type(value).model_fields for one in list_resources(getattr(value, key)))
    elif isinstance(value, dict | list):
        yield from (
            one for item in (value.values() if isinstance(value, dict) else value) for one in list_resources(item)
        )


def test_facts_are_what_pydantic_dumps_without_defaults() -> None:
    spec = project.load(Path(__file__).parent / "ok" / "everything.yaml", environ={"ENGINE_TEST": "1"}).resources
    found = [one for part in (spec.datasets, spec.models, spec.evaluation_stores) for one in list_resources(part)]
    assert {"Csv", "Column", "TrainModel", "EvaluationStoreSpec", "DriftSettings"} <= {
        type(one).__name__ for one in found
    }
    for one in found:
        dumped = one.model_dump(mode="json", exclude_defaults=True)
        assert facts_of(one) == {**({"kind": one.kind} if hasattr(one, "kind") else {}), **dumped}
