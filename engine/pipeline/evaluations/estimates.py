"""The settings of performance estimates of a store, and whether its reference allows them."""

from typing import TYPE_CHECKING

from engine.data import Table
from engine.pipeline.context import BuildContext
from engine.pipeline.references.resolution import Reference

if TYPE_CHECKING:
    from engine.evaluation.performance.estimation import EstimateSettings

ESTIMATES_VERSION = "2"
"""Version of the numbers: it changes whenever the estimate for the same rows changes."""


def find_estimate_settings(store: str, context: BuildContext, *, own_reference: bool) -> "EstimateSettings | None":
    """Return the settings of a store's performance estimates; None without estimates or a model.

    Parameters
    ----------
    own_reference
        Whether the batch is compared with itself.
    """
    from engine.evaluation.performance.estimation import EstimateSettings

    spec = context.project.evaluation_stores[store]
    if spec.estimates is None or spec.model is None:
        return None
    model = context.project.models[spec.model]
    return EstimateSettings(
        task=model.task,
        method=spec.estimates,
        cost_matrix=model.cost_matrix,
        confidence=spec.drift.confidence,
        max_rows=spec.drift.max_rows,
        seed=spec.drift.seed,
        own_reference=own_reference,
    )


def is_own_reference(reference: Reference, batch: Table, rows: Table) -> bool:
    """Return whether the evaluated rows are those of the reference, and so have its labels.

    Parameters
    ----------
    rows
        The evaluated rows of the batch: only the held-out rows, if its model was trained on it.
    """
    if reference.table is None:
        return False
    held_out = rows is not batch and reference.facts.get("kind") == "model_test"
    return held_out or reference.table.fingerprint == batch.fingerprint
