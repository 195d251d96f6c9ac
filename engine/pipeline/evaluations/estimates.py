"""How a store estimates performance, and whether its reference can tell anything of the batch."""

from typing import TYPE_CHECKING

from engine.data import Table
from engine.pipeline.context import BuildContext
from engine.pipeline.references.resolution import Reference

if TYPE_CHECKING:
    from engine.evaluation.performance.estimation import EstimateSettings

ESTIMATES_VERSION = "2"
"""Version of the numbers: it changes whenever another estimate is made of the same rows."""


def find_estimate_settings(store: str, context: BuildContext, *, own_reference: bool) -> "EstimateSettings | None":
    """Return how a store estimates performance; None if it does not, or has no model.

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
    """Return whether the rows that are evaluated are those of the reference: its labels are then theirs.

    Parameters
    ----------
    rows
        What is evaluated of the batch: the held-out rows alone, if its model was trained on it.
    """
    if reference.table is None:
        return False
    held_out = rows is not batch and reference.facts.get("kind") == "model_test"
    return held_out or reference.table.fingerprint == batch.fingerprint
