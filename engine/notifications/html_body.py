"""The HTML part of a message: the reporter's text, then the checks as a table.

The templates are constants of this module, and markupsafe escapes every value inserted into them, so texts of users are
never HTML. Jinja2 is not used, because its import takes longer than all messages of a short run. Styles are attributes
of the elements, because mail programs drop style sheets.
"""

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from engine.evaluation.record import CheckResult
from engine.formatting.moments import format_second
from engine.formatting.palette import CHECK_COLOURS, GREY, OUTCOME_COLOURS
from engine.notifications.facts import SUMMARY_LINES, RunFacts
from engine.views.checks import CheckView, describe_checks
from engine.views.metric_text import format_metric_name

_PAGE = Markup("""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{subject}</title></head>
<body style="margin:0;padding:24px;background:#f4f5f7;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,\
sans-serif;font-size:15px;line-height:1.5;color:#1c2733">
<div style="max-width:720px;margin:0 auto;background:#ffffff;border:1px solid #dfe3e8;border-radius:6px">
<div style="padding:16px 24px;border-bottom:1px solid #dfe3e8">
<span style="display:inline-block;padding:2px 10px;border-radius:10px;background:{colour};color:#ffffff;\
font-size:12px;font-weight:bold">{outcome}</span>
<strong style="margin-left:8px">{scenario}</strong>
<span style="color:#5f6b7a">of {project}</span>
</div>
<div style="padding:16px 24px">{body}</div>{pictures}{notes}{checks}
<div style="padding:12px 24px;border-top:1px solid #dfe3e8;color:#5f6b7a;font-size:12px">
Run {run}, started {started}, trigger: {trigger}
</div>
</div>
</body>
</html>
""")
_PICTURE = Markup(
    '<div style="padding:0 24px 16px"><img src="cid:{id}" alt="{shown}" '
    'style="display:block;width:100%;max-width:720px;height:auto"></div>'
)
_NOTES = Markup(
    '<div style="margin:0 24px 16px;padding:8px 12px;background:#fff8e1;border-left:4px solid #f0b429">{notes}</div>'
)
_NOTE = Markup("<div>{note}</div>")
_CHECKS = Markup("""\
<div style="padding:0 24px 16px">
<table style="border-collapse:collapse;width:100%;font-size:13px">
<tr>{titles}</tr>
{rows}</table>{more}</div>""")
_TITLE = Markup(
    '<th style="text-align:{side};padding:4px 8px;border-bottom:2px solid #dfe3e8;color:#5f6b7a">{title}</th>'
)
_ROW = Markup("""\
<tr>{cells}\
<td style="padding:4px 8px;border-bottom:1px solid #eef0f3;color:{colour};font-weight:bold">{outcome}</td>
</tr>""")
_CELL = Markup('<td style="padding:4px 8px;border-bottom:1px solid #eef0f3{alignment}">{cell}</td>')
_MORE = Markup('<div style="color:#5f6b7a;font-size:13px;padding-top:8px">… and {count} more</div>')


def render_html_body(
    subject: str,
    body: str,
    notes: Sequence[str],
    facts: RunFacts,
    redact: Callable[[str], str],
    pictures: Sequence[tuple[str, str]],
) -> str:
    """Return a message as an HTML page without external resources. `redact` masks secrets in every text.

    `pictures` are the attached images to show: the content id and a description of each.
    """

    def fill(template: Markup, **values: object) -> Markup:
        # masked before it is escaped: a secret with & in it would not be found afterwards
        masked = {
            name: redact(value) if isinstance(value, str) and not isinstance(value, Markup) else value
            for name, value in values.items()
        }
        return template.format(**masked)

    outcome = facts.condition_facts.outcome
    shown_notes = _join(fill(_NOTE, note=note) for note in notes)
    page = fill(
        _PAGE,
        subject=subject,
        body=Markup("<br>\n").join(body.strip().split("\n")),
        pictures=_join(fill(_PICTURE, id=id_, shown=shown) for id_, shown in pictures),
        notes=fill(_NOTES, notes=shown_notes) if notes else "",
        checks=_render_checks(facts.checks, fill) if facts.checks else "",
        colour=GREY if outcome is None else OUTCOME_COLOURS[outcome],
        outcome=outcome or "STARTED",
        scenario=facts.scenario,
        project=facts.project,
        run=facts.run_id,
        started=format_second(facts.started),
        trigger=facts.condition_facts.trigger,
    )
    return str(page)


def _render_checks(checks: Sequence[CheckResult], fill: Callable[..., Markup]) -> Markup:
    """Return the table of check results, the worst first, with at most SUMMARY_LINES rows."""
    more = len(checks) - SUMMARY_LINES
    return fill(
        _CHECKS,
        titles=_join(
            fill(_TITLE, side="right" if title == "Value" else "left", title=title)
            for title in ("Check", "Of", "Metric", "Value", "Allowed", "Outcome")
        ),
        rows=_join(_render_row(check, fill) for check in describe_checks(checks)[:SUMMARY_LINES]),
        more=fill(_MORE, count=more) if more > 0 else "",
    )


def _render_row(check: CheckView, fill: Callable[..., Markup]) -> Markup:
    texts = (check.check, check.target, format_metric_name(check.metric))
    cells = [
        *(fill(_CELL, alignment="", cell=text) for text in texts),
        fill(_CELL, alignment=";text-align:right", cell=check.value_text),
        fill(_CELL, alignment="", cell=check.allowed.replace("_", " ")),
    ]
    return fill(_ROW, cells=_join(cells), colour=CHECK_COLOURS[check.outcome], outcome=check.outcome)


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
