"""Collects the facts about an evaluation, and writes them as a page or a chart."""

from dataclasses import replace
from pathlib import Path

from engine import views
from engine.atomic_files import replace_file
from engine.errors import DeliveryError
from engine.evaluation.record import Evaluation
from engine.pipeline.checks import check_evaluation
from engine.pipeline.context import BuildContext
from engine.views import EvaluationFacts
from engine.views.collection import collect_facts


def collect_report_facts(evaluation: Evaluation, context: BuildContext) -> EvaluationFacts:
    """Return the facts that a page shows; the checks are those of the current spec."""
    checks = check_evaluation(evaluation, context)
    return replace(collect_facts(evaluation, checks, context.project, context.store), spec=context.project.render())


def write_report(facts: EvaluationFacts, path: Path, context: BuildContext) -> None:
    """Write the page of an evaluation, or its chart if the path ends in .png. Readers never see a partial file.

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
