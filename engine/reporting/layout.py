"""The HTML part of a message: what the reporter says, then the checks as a table.

Jinja2 with autoescaping lays out our own template; what users write is a value in it, never a template. Styles stand
in the elements, because mail programs drop style sheets.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from engine.outcome import CheckOutcome, Outcome
from engine.reporting.facts import LINES, RunFacts, bounds, message_names, number, worst_first

COLOURS = {
    Outcome.SUCCESS: "#1a7f4b",
    Outcome.SKIPPED: "#5f6b7a",
    Outcome.WARNING: "#b7791f",
    Outcome.FAILED: "#b42318",
    Outcome.ABORTED: "#b42318",
}
CHECK_COLOURS = {
    CheckOutcome.OK: "#1a7f4b",
    CheckOutcome.EMPTY: "#5f6b7a",
    CheckOutcome.WARNING: "#b7791f",
    CheckOutcome.ERROR: "#b42318",
}


def html(
    subject: str,
    body: str,
    notes: Sequence[str],
    facts: RunFacts,
    redact: Callable[[str], str],
    pictures: Sequence[tuple[str, str]] = (),
) -> str:
    """Return a message as one HTML page without anything to load; every text that is not laid out yet is redacted.

    `pictures` are shown in it: the content id and what it shows, of each.
    """
    outcome = facts.known.outcome
    rows = [
        {
            "name": check.check,
            "target": check.target,
            "metric": check.metric,
            "value": "" if check.value is None else number(check.value),
            "bounds": bounds(check.bounds),
            "outcome": check.outcome,
            "colour": CHECK_COLOURS[check.outcome],
        }
        for check in worst_first(facts.checks)[:LINES]
    ]
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # Before escaping: a secret with & in it is not found afterwards.
        finalize=lambda value: redact(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    return templates.get_template("mail.html").render(
        subject=subject,
        body=Markup("<br>\n").join(body.strip().split("\n")),
        notes=notes,
        pictures=pictures,
        facts=facts,
        outcome=outcome or "STARTED",
        colour="#5f6b7a" if outcome is None else COLOURS[outcome],
        checks=rows,
        more=len(facts.checks) - LINES,
        started=message_names(facts)["startTime"],
    )
