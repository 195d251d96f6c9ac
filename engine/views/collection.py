"""Collect the records for the view of an evaluation from the spec and the store."""

from collections.abc import Sequence
from dataclasses import replace

from engine.evaluation.record import CheckResult, Evaluation
from engine.spec import ProjectSpec
from engine.spec.metrics.names import normalize_metric_name
from engine.store import EvaluationFilter, MetricPoint, Store
from engine.views.facts import EvaluationFacts

HISTORY_LENGTH = 40
"""Maximum number of evaluations in a page's history."""


def collect_facts(
    evaluation: Evaluation, checks: Sequence[CheckResult], project: ProjectSpec, store: Store
) -> EvaluationFacts:
    """Return the records for the view of an evaluation; without the project as YAML, which takes long to write.

    Parameters
    ----------
    checks
        The results of the checks on it to show.
    """
    declared, server = project.evaluation_stores[evaluation.store], project.resources.server
    own_run = evaluation.run if evaluation.origin is None else None  # runs of a pulled evaluation are on its server
    facts = EvaluationFacts(
        project=project.name,
        dataset=declared.dataset,
        evaluation=evaluation,
        checks=checks,
        displayed=list(map(normalize_metric_name, declared.display.metrics)),
        run_url=None if own_run is None or server is None else f"{server.url.rstrip('/')}/runs/{own_run}",
    )
    model = None if declared.continues_across_models else evaluation.fingerprints.model
    earlier = EvaluationFilter(before=evaluation.id, model=model, origin=evaluation.origin)
    points = _list_history(evaluation, facts.list_followed_metrics(), earlier, store)
    ids = {point.evaluation for found in points.values() for point in found}
    return replace(facts, history=points, applied=store.checks.list_bounds(evaluation.store, list(points), sorted(ids)))


def _list_history(
    evaluation: Evaluation, metrics: Sequence[str], earlier: EvaluationFilter, store: Store
) -> dict[str, list[MetricPoint]]:
    """Return metrics over the history of an evaluation; if the evaluation has a time, later ones are excluded."""
    if evaluation.time is None:
        return store.evaluations.list_points(evaluation.store, metrics, HISTORY_LENGTH, replace(earlier, before=None))
    points = store.evaluations.list_points(evaluation.store, metrics, HISTORY_LENGTH - 1, earlier)
    for metric, found in points.items():
        if (own := evaluation.metrics.get(metric)) is not None:
            known = (own.value, own.low, own.high, evaluation.time.text)
            found.append(MetricPoint(evaluation.id, evaluation.name, evaluation.moment, *known))
    return points
