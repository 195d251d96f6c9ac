"""What a run knows when its reporters speak, and the names that a message may use for it.

The facts come in as plain data, made by whoever ran the scenario: a reporter reaches back into nothing, so the same
facts give the same message in a run, in a preview and in a test.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from engine.errors import Severity
from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome, Outcome
from engine.reporting.letter import single_line
from engine.spec.conditions import Facts, step_variable
from engine.store.records import Event

LINES = 100
"""A summary shows this many lines and says how many more there are: a wildcard over 2,000 columns fits into a mail."""

NOT_ENDED = "[the run has not ended]"

_OF_CHECKS: dict[CheckOutcome, Literal["info", "warning", "error"]] = {
    CheckOutcome.OK: "info",
    CheckOutcome.EMPTY: "info",
    CheckOutcome.WARNING: "warning",
    CheckOutcome.ERROR: "error",
}
_OF_STEPS: dict[Outcome, Literal["info", "warning", "error"]] = {
    Outcome.SKIPPED: "info",
    Outcome.SUCCESS: "info",
    Outcome.WARNING: "warning",
    Outcome.FAILED: "error",
    Outcome.ABORTED: "error",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as its reporters see it.

    `known` is what conditions may ask: outcome (None while the run is going on), outcomes of steps and checks, metrics,
    trigger, variables. `checks` holds every result: each turn, each metric of a wildcard. `events` are what the
    summaries tell; `check_event` and `step_event` make them. Times are aware. `log` is the run's log for people.
    """

    project: str
    scenario: str
    run_id: str
    started: datetime
    known: Facts
    ended: datetime | None = None
    checks: Sequence[CheckResult] = ()
    events: Sequence[Event] = ()
    server_url: str | None = None
    log: Path | None = None

    @property
    def run_url(self) -> str | None:
        """The run's page on the server, None without a server."""
        return None if self.server_url is None else f"{self.server_url.rstrip('/')}/runs/{self.run_id}"


def message_names(facts: RunFacts) -> dict[str, object]:
    """Return every name that a message may use, with its value. What has none is a note in square brackets."""
    known = facts.known
    outcome = NOT_ENDED if known.outcome is None else str(known.outcome)
    return {
        **known.variables,
        "scenarioName": facts.scenario,
        "projectKey": facts.project,
        "outcome": outcome,
        "triggerName": known.trigger,
        "trigger": known.trigger,
        "scenarioRunURL": facts.run_url or "[no scenarioRunURL: the spec names no server url]",
        "scenarioRunId": facts.run_id,
        "warningsEventsSummary": events_summary(facts, Severity.WARNING),
        "errorsEventsSummary": events_summary(facts, Severity.ERROR),
        "checksSummary": checks_summary(facts),
        "startTime": f"{facts.started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "duration": NOT_ENDED if facts.ended is None else duration((facts.ended - facts.started).total_seconds()),
        **{step_variable(name): str(step) for name, step in known.steps.items()},
        "steps": {name: {"outcome": str(step)} for name, step in known.steps.items()},
        "checks": {name: {"outcome": str(check)} for name, check in known.checks.items()},
        "metrics": {
            name: f"[{name} has no value]" if value is None else number(value) for name, value in known.metrics.items()
        },
    }


def events_summary(facts: RunFacts, severity: Severity) -> str:
    """Return one line per warning, or per error: what, value, range, where."""
    lines = [event_line(event) for event in facts.events if event.severity == severity]
    return bounded(lines) if lines else f"no {severity}s"


def checks_summary(facts: RunFacts) -> str:
    """Return how many checks ended how, then one line per check, worst first."""
    if not facts.checks:
        return "no checks"
    counts = Counter(check.outcome for check in facts.checks)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in reversed(CheckOutcome) if counts[outcome])
    return f"checks: {told}\n" + bounded(
        f"{check.outcome} {event_line(check_event(check, facts.started))}" for check in worst_first(facts.checks)
    )


def worst_first(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """Return the checks, the most severe first, otherwise in their order."""
    severity = list(CheckOutcome)
    return sorted(checks, key=lambda check: -severity.index(check.counts_as))


def check_event(check: CheckResult, at: datetime) -> Event:
    """Return a check's result as an event of its run."""
    what = f"{check.check}: {check.metric}" if check.metric else check.check
    if check.value is None or not check.bounds:
        what = f"{what} has no value: {check.reason}" if check.bounds else f"{what}: {check.reason}"
    return Event(
        kind="check",
        severity=_OF_CHECKS[check.counts_as],
        what=what,
        at=at,
        value=check.value,
        range=check.bounds,
        where=check.target,
        position=check.position,
    )


def step_event(name: str, outcome: Outcome, reason: str, at: datetime) -> Event:
    """Return how a step ended as an event of its run.

    Without a `reason` it is no warning and no error of its own: the step's checks tell it already.
    """
    if not reason:
        return Event(kind="step", severity="info", what=f"step {name} {outcome}", at=at)
    return Event(kind="step", severity=_OF_STEPS[outcome], what=f"step {name} {outcome}: {reason}", at=at)


def event_line(event: Event) -> str:
    """Return what, value, range, where of an event, on one line."""
    told = event.what if event.value is None else f"{event.what} is {number(event.value)}"
    if event.range:
        told += f", allowed: {bounds(event.range)}"
    place = None if event.position is None else f"{event.position.file}:{event.position.line}"
    where = ", ".join(part for part in (event.where, place) if part)
    return single_line(f"{told} ({where})" if where else told, limit=1000)


def bounds(range_: Mapping[str, object]) -> str:
    """Return a check's range or values for people."""
    return ", ".join(f"{name} {number(value)}" for name, value in range_.items() if value is not None)


def number(value: object) -> str:
    """Return a number with six significant digits; anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Return a duration for people: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def bounded(lines: Iterable[str]) -> str:
    """Join lines, at most `LINES` of them, saying how many more there are."""
    shown = list(lines)
    more = len(shown) - LINES
    return "\n".join([*shown[:LINES], *([f"… and {more} more"] if more > 0 else [])])
