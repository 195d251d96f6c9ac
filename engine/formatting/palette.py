"""The colours of outcomes, one per meaning, shared by terminal, mails, charts and pages."""

from engine.outcome import CheckOutcome, Outcome

GREEN, AMBER, RED, GREY = "#177244", "#8f5500", "#b42318", "#5f6b7a"
"""Each has a contrast of at least 4.5 on white, as WCAG 2 requires for text; report.css repeats the first three."""

OUTCOME_COLOURS = {
    Outcome.SUCCESS: GREEN,
    Outcome.SKIPPED: GREY,
    Outcome.WARNING: AMBER,
    Outcome.FAILED: RED,
    Outcome.ABORTED: RED,
}
CHECK_COLOURS = {
    CheckOutcome.OK: GREEN,
    CheckOutcome.EMPTY: GREY,
    CheckOutcome.WARNING: AMBER,
    CheckOutcome.ERROR: RED,
}
TERMINAL_COLOURS = {
    "SUCCESS": "green",
    "OK": "green",
    "SENT": "green",
    "WARNING": "yellow",
    "EMPTY": "yellow",
    "PENDING": "yellow",
    "FAILED": "red",
    "ERROR": "red",
    "ABORTED": "red",
    "SKIPPED": "dim",
}
