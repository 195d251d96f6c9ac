"""The facts of a run from which messages are made, and the names that a message can use for them.

The facts are plain data that the runner passes in. A message depends on nothing else, so the same facts give the same
message in a run, in a preview and in a test.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from engine.errors import Severity
from engine.evaluation.checks.counts import PassedChecks, sort_by_severity
from engine.evaluation.checks.detectable import summarize_weak_checks
from engine.evaluation.checks.ranges import MOST_MOVED
from engine.evaluation.record import CheckResult
from engine.formatting.control_characters import single_line
from engine.formatting.moments import format_second
from engine.formatting.numbers import format_duration, format_number
from engine.outcome import CheckOutcome, Outcome, worst_check_outcome
from engine.spec.conditions import ConditionFacts, name_step_variable
from engine.store import Event
from engine.views.ranges import format_bounds, format_checked

SUMMARY_LINES = 100
"""Most lines of a summary, so that a wildcard check on 2,000 columns fits into a mail."""

NOT_ENDED = "[the run has not ended]"

_CHECK_SEVERITY: dict[CheckOutcome, Literal["info", "warning", "error"]] = {
    CheckOutcome.OK: "info",
    CheckOutcome.EMPTY: "info",
    CheckOutcome.WARNING: "warning",
    CheckOutcome.ERROR: "error",
}
_STEP_SEVERITY: dict[Outcome, Literal["info", "warning", "error"]] = {
    Outcome.SKIPPED: "info",
    Outcome.SUCCESS: "info",
    Outcome.WARNING: "warning",
    Outcome.FAILED: "error",
    Outcome.ABORTED: "error",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts about a run that its messages use. Times have a time zone.

    Attributes
    ----------
    condition_facts
        The facts for run conditions: the outcome (None before the end), the outcomes of steps and checks, metrics, the
        trigger, variables.
    checks
        Every check result, of each iteration and of each metric of a wildcard check.
    events
        The lines of the summaries.
    log
        The path of the run's log.
    notes
        Texts that are added to every message, such as why a run was aborted.
    changes
        Returns a text about the changes since the last evaluation that was OK.
    fire
        The values of the names that only a trigger sets, see `engine.spec.variables.moment.list_fire_values`.
    """

    project: str
    scenario: str
    run_id: str
    started: datetime
    condition_facts: ConditionFacts
    ended: datetime | None = None
    checks: Sequence[CheckResult] = ()
    events: Sequence[Event] = ()
    server_url: str | None = None
    log: Path | None = None
    notes: Sequence[str] = ()
    changes: Callable[[], str] = str
    fire: Mapping[str, date | str] = field(default_factory=dict)

    @property
    def run_url(self) -> str | None:
        """The run's page on the server, None without a server."""
        return None if self.server_url is None else f"{self.server_url.rstrip('/')}/runs/{self.run_id}"


def message_values(facts: RunFacts, texts: Collection[str]) -> dict[str, object]:
    """Return every name that a message can use, with its value; a missing value is a note in square brackets.

    `texts` are those of the message: changes are looked up in the state only if one of them uses `changesSummary`.
    """
    known = facts.condition_facts
    outcome = NOT_ENDED if known.outcome is None else str(known.outcome)
    return {
        **known.variables,
        **facts.fire,
        "scenarioName": facts.scenario,
        "projectKey": facts.project,
        "outcome": outcome,
        "triggerName": known.trigger,
        "trigger": known.trigger,
        "scenarioRunURL": facts.run_url or "[no scenarioRunURL: the spec has no server url]",
        "scenarioRunId": facts.run_id,
        "warningsEventsSummary": summarize_events(facts, Severity.WARNING),
        "errorsEventsSummary": summarize_events(facts, Severity.ERROR),
        "checksSummary": summarize_checks(facts),
        "changesSummary": facts.changes() if any("changesSummary" in text for text in texts) else "",
        "startTime": format_second(facts.started),
        "duration": NOT_ENDED
        if facts.ended is None
        else format_duration((facts.ended - facts.started).total_seconds()),
        **{name_step_variable(name): str(step) for name, step in known.steps.items()},
        "steps": {name: {"outcome": str(step)} for name, step in known.steps.items()},
        "checks": {name: {"outcome": str(check)} for name, check in known.checks.items()}
        | {name: {"outcome": f"{outcome} (muted)"} for name, outcome in _list_muted_outcomes(facts.checks).items()},
        "metrics": {
            name: f"[{name} has no value]" if value is None else format_number(value)
            for name, value in known.metrics.items()
        },
    }


def _list_muted_outcomes(checks: Iterable[CheckResult]) -> dict[str, CheckOutcome]:
    """Return the worst outcome of each muted check; run conditions see OK instead."""
    worst: dict[str, CheckOutcome] = {}
    for check in checks:
        if check.muted:
            worst[check.check] = worst_check_outcome([check.outcome, worst.get(check.check, CheckOutcome.OK)])
    return worst


def summarize_events(facts: RunFacts, severity: Severity) -> str:
    """Return one line per event of a severity: what, value, allowed range, where."""
    lines = [format_event(event) for event in facts.events if event.severity == severity]
    return join_lines(lines) if lines else f"no {severity}s"


def summarize_checks(facts: RunFacts) -> str:
    """Return the number of checks per outcome, one line per check, the most severe first, and one line per weak OK."""
    if not facts.checks:
        return "no checks"
    counts = Counter(check.outcome for check in facts.checks)
    per_outcome = ", ".join(f"{counts[outcome]} {outcome}" for outcome in reversed(CheckOutcome) if counts[outcome])
    passed = PassedChecks.select(facts.checks)
    if passed.unmeasured:
        per_outcome += f"; OK: {passed.count()}"
    lines = join_lines(
        f"{check.outcome} {format_event(create_check_event(check, facts.started))}"
        for check in sort_by_severity(facts.checks)
    )
    return "\n".join([f"checks: {per_outcome}", lines, *map(single_line, summarize_weak_checks(facts.checks))])


def create_check_event(check: CheckResult, at: datetime) -> Event:
    """Return a check result as an event of its run."""
    what = f"{check.check}: {check.metric}" if check.metric else check.check
    if check.value is None or check.bounds is None:
        what = f"{what}: {check.reason}" if check.bounds is None else f"{what} has no value: {check.reason}"
    what = f"{what} ({check.mute})" if check.mute else what
    return Event(
        kind="check",
        severity=_CHECK_SEVERITY[check.counts_as],
        what=what,
        at=at,
        value=check.value,
        range=check.bounds,
        where=f"{check.target}{MOST_MOVED}{moved}"
        if (moved := check.reason.partition(MOST_MOVED)[2])
        else check.target,
        position=check.position,
    )


def create_step_event(name: str, outcome: Outcome, reason: str, at: datetime) -> Event:
    """Return the end of a step as an event of its run.

    Without a `reason` the event is only information: the events of the step's checks already hold the warning.
    """
    if not reason:
        return Event(kind="step", severity="info", what=f"step {name} {outcome}", at=at)
    return Event(kind="step", severity=_STEP_SEVERITY[outcome], what=f"step {name} {outcome}: {reason}", at=at)


def format_event(event: Event) -> str:
    """Return an event on one line: what, value, allowed range, where."""
    text = event.what if event.value is None else f"{event.what} is {format_checked(event.value, event.range)}"
    if event.range is not None:
        text += f", allowed: {format_bounds(event.range)}"
    place = None if event.position is None else f"{event.position.file}:{event.position.line}"
    where = ", ".join(part for part in (event.where, place) if part)
    return single_line(f"{text} ({where})" if where else text, limit=1000)


def join_lines(lines: Iterable[str]) -> str:
    """Join at most `SUMMARY_LINES` lines, and say how many more there are."""
    shown = list(lines)
    more = len(shown) - SUMMARY_LINES
    return "\n".join([*shown[:SUMMARY_LINES], *([f"… and {more} more"] if more > 0 else [])])
