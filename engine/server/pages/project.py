"""The page of a project: its status, the displayed metrics of its stores, and the history of their checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from engine.outcome import CheckOutcome, worst_check_outcome
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.health import explain_unready
from engine.server.pages.child_commands import ChildCommands
from engine.server.pages.evaluation_store import MOST_COUNTED, ServedStore
from engine.server.pages.kept_results import KeptResults
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.service.deployments.project_status import ProjectState, ProjectStatus, describe_status
from engine.spec import ProjectSpec
from engine.spec.metrics.names import normalize_metric_name
from engine.spec.resources.checks import Check
from engine.spec.secrets.redaction import Redact
from engine.store import Store
from engine.views.charts.sparkline import draw_sparkline
from engine.views.charts.strip import draw_strip
from engine.views.metric_text import explain_metric, format_metric, format_metric_interval, format_metric_name
from engine.views.store_view import EvaluationRow, describe_store

STRIP = 30
"""Most evaluations in the shown history of a check."""

MOST_CHECKS = 40


@dataclass(frozen=True, slots=True)
class DisplayedMetric:
    """A displayed metric of a store's newest evaluation, as text.

    `outcome` is the worst outcome of the checks on this metric, None without a check. `history` has its values in the
    newest evaluations, oldest first.
    """

    metric: str
    name: str
    explanation: str
    value: str
    interval: str
    reason: str
    outcome: CheckOutcome | None
    history: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class CheckHistory:
    """A check with its outcomes on the newest evaluations, oldest first; None where it was not applied."""

    name: str
    outcome: CheckOutcome | None
    outcomes: tuple[tuple[str, CheckOutcome | None], ...]


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """An evaluation store with the metrics and checks that it displays."""

    name: str
    newest: str | None
    newest_id: str | None
    outcome: CheckOutcome | None
    evaluations: int
    metrics: tuple[DisplayedMetric, ...]
    checks: tuple[CheckHistory, ...]
    unshown_checks: int


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """The page of a project."""

    requests: ProjectRequests
    redact: Redact
    commands: ChildCommands
    kept: KeptResults[StoreStatus]

    def check_store(self, request: Request, _form: Mapping[str, str]) -> str:
        """Apply the present checks of a store to its newest evaluation, in a process."""
        found = ServedStore.find(self.requests, request)
        arguments = ("-m", "engine", "check", str(found.project.path), found.name)
        if not self.commands.start(_name_check(found.project.name, found.name), arguments, found.project):
            raise AnswerError(503, "too many commands wait already", "try it again in a minute")
        return links.build_link(links.PROJECT, project=found.project.name)

    def show_project(self, request: Request) -> Page:
        """Return the status of a project."""
        project, spec = self.requests.find_spec(request)
        store = self.requests.find_store(request)
        status = describe_status(project.name, None, ProjectState(spec, store, self.requests.clock()))
        stores = [self._find_status(project.name, name, spec, store) for name in spec.evaluation_stores]
        return Page(
            template="project.html",
            title=project.name,
            content={
                "description": spec.resources.description,
                "status": status,
                "problems": [*explain_unready(project), *project.spec_problems],
                "stale": [*project.stale, *project.waits],
                "stores": stores,
                "mutes": store.mutes.list_active(),
            },
            values={
                "answers": _list_answers(status),
                "most_counted": MOST_COUNTED,
                "checking_of": {one.name: self._describe_checking(project.name, one.name) for one in stores},
                "trends": {
                    (one.name, metric.metric): draw_sparkline(metric.history).render()
                    for one in stores
                    for metric in one.metrics
                    if sum(value is not None for value in metric.history) > 1
                },
                "strips": {
                    (one.name, check.name): draw_strip(
                        [(self.redact(name), outcome) for name, outcome in check.outcomes]
                    ).render()
                    for one in stores
                    for check in one.checks
                },
            },
            table=Table(
                ("store", "evaluation", "check", "outcome"),
                [(one.name, one.newest, check.name, check.outcome) for one in stores for check in one.checks],
            ),
            project=project,
        )

    def _find_status(self, project: str, name: str, spec: ProjectSpec, store: Store) -> StoreStatus:
        state = store.evaluations.mark_state()
        return self.kept.get((project, name), spec, state, lambda: _describe_store(name, spec, store))

    def _describe_checking(self, project: str, store: str) -> str:
        """Return the state of the newest request to check a store: empty, `running`, `done`, or an error."""
        result = self.commands.find(_name_check(project, store))
        if result is None:
            return ""
        return (result.result().problem or "done") if result.done() else "running"


def _name_check(project: str, store: str) -> tuple[str, ...]:
    return "check", project, store


def _list_answers(status: ProjectStatus) -> list[tuple[str, str, str, Sequence[str]]]:
    """Return the name, the state, the CSS kind and the sentences of each answer."""
    return [
        (
            name,
            answer.state,
            "ok" if answer.well and answer.state not in ("WARNING", "UNKNOWN") else answer.state.lower(),
            answer.told,
        )
        for name, answer in status.answers.items()
    ]


def _describe_store(name: str, spec: ProjectSpec, store: Store) -> StoreStatus:
    declared = spec.evaluation_stores[name]
    metrics = list(map(normalize_metric_name, declared.display.metrics)) or ["data_drift", "drifted_columns"]
    found = store.evaluations.history(name, STRIP, metrics=metrics)
    outcomes = store.checks.list_outcomes(name, [one.id for one in found])
    rows = describe_store(name, metrics, found, outcomes).evaluations
    newest = rows[-1] if rows else None
    shown = [*declared.display.checks, *(check for check in declared.checks if check not in declared.display.checks)]
    return StoreStatus(
        name=name,
        newest=newest.name if newest else None,
        newest_id=newest.id if newest else None,
        outcome=worst_check_outcome(newest.outcomes.values()) if newest and newest.outcomes else None,
        evaluations=store.evaluations.count(name, most=MOST_COUNTED + 1),
        metrics=tuple(
            _describe_metric(metric, rows, declared.checks) for metric in metrics if newest and metric in newest.metrics
        ),
        checks=tuple(_describe_check(check, rows) for check in shown[:MOST_CHECKS]),
        unshown_checks=max(0, len(shown) - MOST_CHECKS),
    )


def _describe_metric(metric: str, rows: Sequence[EvaluationRow], checks: Mapping[str, Check]) -> DisplayedMetric:
    """Return the display of a metric, which the last of the rows must have."""
    measured, found = rows[-1].metrics[metric], rows[-1].outcomes
    outcomes = [
        found[name]
        for name, check in checks.items()
        if name in found and normalize_metric_name(getattr(check, "metric", "")) == metric
    ]
    return DisplayedMetric(
        metric=metric,
        name=format_metric_name(metric),
        explanation=explain_metric(metric),
        value="no value" if measured.value is None else format_metric(metric, measured.value),
        interval=format_metric_interval(metric, measured),
        reason=measured.reason or "",
        outcome=worst_check_outcome(outcomes) if outcomes else None,
        history=tuple(row.metrics[metric].value if metric in row.metrics else None for row in rows),
    )


def _describe_check(name: str, rows: Sequence[EvaluationRow]) -> CheckHistory:
    outcomes = tuple((row.name, row.outcomes.get(name)) for row in rows)
    return CheckHistory(name, outcomes[-1][1] if outcomes else None, outcomes)
