"""Collects what a report shows of an evaluation, and writes it as a page or a chart."""

from dataclasses import replace
from pathlib import Path

from engine import views
from engine.atomic_files import replace_file
from engine.errors import DeliveryError
from engine.evaluation.record import Evaluation
from engine.pipeline.checks import check_evaluation
from engine.pipeline.context import BuildContext
from engine.pipeline.evaluation_times import select_earlier
from engine.spec.metric_names import normalize_metric_name
from engine.store import MetricPoint
from engine.views import EvaluationFacts

HISTORY_LENGTH = 40
"""Evaluations in the history of a page."""


def collect_report_facts(evaluation: Evaluation, context: BuildContext) -> EvaluationFacts:
    """Return the facts that a page shows; the checks of the store are applied as the spec declares them now."""
    declared, server = context.project.evaluation_stores[evaluation.store], context.project.server
    own_run = evaluation.run if evaluation.origin is None else None  # that of another is at the server there
    facts = EvaluationFacts(
        project=context.project.name,
        dataset=declared.dataset,
        evaluation=evaluation,
        checks=check_evaluation(evaluation, context),
        displayed=list(map(normalize_metric_name, declared.display.metrics)),
        spec=context.project.render(),
        run_url=None if own_run is None or server is None else f"{server.url.rstrip('/')}/runs/{own_run}",
    )
    points = {metric: _list_history(evaluation, metric, context) for metric in facts.list_followed_metrics()}
    return replace(facts, history=points)


def _list_history(evaluation: Evaluation, metric: str, context: BuildContext) -> list[MetricPoint]:
    """Return a metric over the history of an evaluation; if it has a time, what is later is not part of it."""
    history = context.store.evaluations.metric_history
    earlier = select_earlier(evaluation, context)
    if evaluation.time is None:
        return history(evaluation.store, metric, HISTORY_LENGTH, replace(earlier, before=None))
    points = history(evaluation.store, metric, HISTORY_LENGTH - 1, earlier)
    if (own := evaluation.metrics.get(metric)) is not None:
        known = (own.value, own.low, own.high, evaluation.time.text)
        points.append(MetricPoint(evaluation.id, evaluation.name, evaluation.moment, *known))
    return points


def write_report(facts: EvaluationFacts, path: Path, context: BuildContext) -> None:
    """Write the page of an evaluation, or its chart if the path ends in .png. A reader never sees a partial file.

    Raises
    ------
    DeliveryError
        The file cannot be written.
    """
    view, redact = views.describe_evaluation(facts), context.secrets.redact
    is_chart = path.suffix.lower() == ".png"
    content = views.draw_overview(view, redact) if is_chart else views.render_page(view, redact).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise DeliveryError(f"cannot write {path}: {error.strerror or error}") from error
