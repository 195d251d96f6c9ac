"""The inputs of an evaluation, as facts and fingerprints that detect changes."""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from engine import drift
from engine.data import Table
from engine.data.files.hashes import hash_file
from engine.data.user_code.functions import find_module_file
from engine.digests import digest_json
from engine.errors import DataError
from engine.evaluation.record import Fingerprints
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import InspectedDataset
from engine.pipeline.evaluations.estimates import ESTIMATES_VERSION
from engine.pipeline.models import ModelHandle
from engine.pipeline.references.resolution import Reference
from engine.pipeline.segments import CONDITIONS_VERSION, find_segment_rules, has_conditions
from engine.spec.resources.resource import facts_of

SEEN_IN_TRAINING = (
    "the batch is the data that the model was trained on, and its performance on those rows says little of other rows: "
    "only the rows that were held out from training are evaluated"
)


class EvaluationInputs(NamedTuple):
    """The inputs of an evaluation of a store."""

    store: str
    inspected: InspectedDataset
    model: ModelHandle | None
    challenger: ModelHandle | None
    reference: Reference

    @property
    def batch(self) -> Table:
        """The table of the store's dataset."""
        return self.inspected.table

    @property
    def pair(self) -> tuple[ModelHandle, ModelHandle] | None:
        """The model and its challenger; None if the store has no challenger."""
        return (self.model, self.challenger) if self.model and self.challenger else None

    def select_rows(self, context: BuildContext) -> Table:
        """Return the batch; if the model was trained on it, only its held-out rows."""
        original = self.batch.undisturbed or self.batch
        training = self.model.training if self.model else None
        if self.model is None or training is None or original.fingerprint != training.fingerprint:
            return self.batch
        if self.model.test is None:
            raise DataError(
                f"dataset {self.batch.name!r} is the data that model {self.model.name} was trained on, and the bundle "
                "has no held-out rows: evaluate other data"
            )
        rows = replace(original, frame=self.model.test.frame, inputs=(), files=None, rereadable=True, spark=None)
        return rows if original is self.batch else context.datasets.disturb_table(rows)

    def compute_fingerprints(self, facts: Mapping[str, Any]) -> Fingerprints:
        """Return the fingerprints of the evaluation with these facts, in which secrets are masked."""
        own = [self.challenger.fingerprint] if self.challenger else []
        return Fingerprints(
            model=self.model.fingerprint if self.model else "",
            dataset=self.batch.fingerprint,
            reference=self.reference.fingerprint,
            # inputs of the numbers besides the data, the reference and the model
            parameters=digest_json([facts["spec"], sorted(facts["code"].values()), facts["versions"], *own]),
        )


def collect_evaluation_facts(inputs: EvaluationInputs, context: BuildContext) -> dict[str, Any]:
    """Return all inputs of the numbers: data, model, reference, settings, custom metrics, kernel."""
    name, batch, model_handle, challenger = inputs.store, inputs.batch, inputs.model, inputs.challenger
    spec = context.project.evaluation_stores[name]
    folder = context.project.folder_of("evaluation_stores", name)
    custom = {metric: facts_of(declared, {"function", "arguments"}) for metric, declared in spec.metrics.items()}
    modules = {find_module_file(folder, declared["function"].partition(":")[0]) for declared in custom.values()}
    code = {path.name: hash_file(path, context.datasets.files) for path in sorted(modules)}
    model: dict[str, Any] = {}
    if model_handle:
        model = {**model_handle.facts["spec"], **facts_of(context.project.models[model_handle.name], {"cost_matrix"})}
        code |= model_handle.facts["code"]
    if challenger:
        code |= challenger.facts["code"]
    return {
        "spec": {
            "store": {
                **facts_of(spec, {"drift", "estimates"}),
                **_describe_segments(name, context),
                "metrics": custom,
            },
            "dataset": {
                "entity": batch.entity,
                "columns": {column: {"role": role} for column, role in batch.roles.items()},
            },
            "model": model,
            **({"challenger": challenger.facts["spec"]} if challenger else {}),
            **({"rows": "held out"} if inputs.select_rows(context) is not batch else {}),
        },
        "datasets": batch.provenance(),
        "code": code,
        "versions": {
            "kernel": drift.KERNEL_VERSION,
            **({"estimates": ESTIMATES_VERSION} if spec.estimates else {}),
            **({"conditions": CONDITIONS_VERSION} if has_conditions(name, context) else {}),
        },
        "model": _describe_version(model_handle),
        **({"challenger": {"model": challenger.name, "version": _describe_version(challenger)}} if challenger else {}),
        **({"identity": model_handle.trained.identity} if model_handle and model_handle.trained else {}),
        "reference": inputs.reference.facts,
    }


def _describe_segments(store: str, context: BuildContext) -> dict[str, Any]:
    """Return the segments of a store with the values of their variables; nothing without segments."""
    rules, search = find_segment_rules(store, context), context.project.evaluation_stores[store].segment_search
    return {
        **({"segments": {"columns": list(rules.columns), "conditions": dict(rules.conditions)}} if rules else {}),
        **({"find_segments": search.model_dump(mode="json")} if search else {}),
    }


def _describe_version(handle: ModelHandle | None) -> str | None:
    return f"version {handle.trained.version}" if handle and handle.trained else None
