"""The HTML part of a message: the reporter's text, then the checks as a table.

The template is ours, rendered by Jinja2 with autoescaping; texts of users are values in it, never templates. Styles
are attributes of the elements, because mail programs drop style sheets.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from engine.formatting.palette import CHECK_COLOURS, GREY, OUTCOME_COLOURS
from engine.formatting.templates import create_html_environment
from engine.notifications.facts import (
    SUMMARY_LINES,
    RunFacts,
    message_values,
)
from engine.views.checks import describe_checks
from engine.views.metric_text import format_metric_name


def render_html_body(
    subject: str,
    body: str,
    notes: Sequence[str],
    facts: RunFacts,
    redact: Callable[[str], str],
    pictures: Sequence[tuple[str, str]] = (),
) -> str:
    """Return a message as one HTML page that loads nothing. Secrets are masked in every text by `redact`.

    `pictures` are the attached images to show: the content id and a description of each.
    """
    outcome = facts.condition_facts.outcome
    rows = [
        {
            "cells": (
                check.check,
                check.target,
                format_metric_name(check.metric),
                check.value_text,
                check.allowed.replace("_", " "),
            ),
            "outcome": check.outcome,
            "colour": CHECK_COLOURS[check.outcome],
        }
        for check in describe_checks(facts.checks)[:SUMMARY_LINES]
    ]
    templates = create_html_environment([Path(__file__).parent], redact)
    return templates.get_template("mail.html").render(
        subject=subject,
        body=Markup("<br>\n").join(body.strip().split("\n")),
        notes=notes,
        pictures=pictures,
        facts=facts,
        outcome=outcome or "STARTED",
        colour=GREY if outcome is None else OUTCOME_COLOURS[outcome],
        checks=rows,
        more=len(facts.checks) - SUMMARY_LINES,
        started=message_values(facts)["startTime"],
    )
