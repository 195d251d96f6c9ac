"""The status of a project or a deployment: four answers, and the worst counts.

They come only from the spec and the store, so a server computes them without loading data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ConfigDict, computed_field

from engine.formatting.moments import format_minute, format_second
from engine.outcome import CheckOutcome, Outcome
from engine.pipeline.actions import FrozenModel
from engine.service.deployments.deployed_state import DeploymentState
from engine.service.triggers.late_triggers import describe_late_triggers
from engine.spec import ProjectSpec
from engine.spec.resources.models import TrainModel
from engine.store import Store

ANSWERS = ("deployment", "model", "execution", "data")


class StatusAnswer(FrozenModel):
    """An answer of a status: whether all is well, its state as a word, and notes as sentences."""

    well: bool
    state: str
    told: tuple[str, ...] = ()


class ProjectStatus(FrozenModel):
    """The status of a project, or of a deployment of it.

    Attributes
    ----------
    name
        The name of the deployment, or of the project without one.
    deployment
        HEALTHY, OUT_OF_SYNC, ERROR or UNKNOWN; None without a deployment. If nothing is deployed, the other answers are
        None.
    model
        OK, or MISSING: a model that an evaluation store needs has no version.
    execution
        OK; FAILED: the last run of a scenario failed; OVERDUE: triggers start no due runs.
    data
        The worst outcome of the last applied checks: OK, WARNING or ERROR; UNKNOWN if there were none.
    well
        Whether all answers are well.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # responses of a node contain the computed field

    schema_version: int = 1
    name: str
    deployment: StatusAnswer | None
    model: StatusAnswer | None
    execution: StatusAnswer | None
    data: StatusAnswer | None

    @property
    def answers(self) -> Mapping[str, StatusAnswer]:
        """The existing answers, by name."""
        found = {name: getattr(self, name) for name in ANSWERS}
        return {name: answer for name, answer in found.items() if answer is not None}

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def well(self) -> bool:
        """Whether all answers are well."""
        return all(one.well for one in self.answers.values())


def describe_deployment_answer(state: DeploymentState) -> StatusAnswer:
    """Return the answer about a deployment itself."""
    active = []
    if state.revision is not None and state.bundle is not None:
        which = f"{state.bundle_name} ({state.bundle[:12]})"
        since = f", since {format_second(state.since)}, by {state.by}" if state.since else ""
        active = [f"revision {state.revision}, {which}{since}"]
    return StatusAnswer(well=state.state == "HEALTHY", state=state.state, told=(*active, *state.reasons))


@dataclass(frozen=True, slots=True)
class ProjectState:
    """The spec of a project or of its deployed revision, its open store, and the current time."""

    project: ProjectSpec
    store: Store
    now: datetime


def add_problems(state: DeploymentState, problems: Sequence[str]) -> DeploymentState:
    """Return the status of a deployment with problems of its active revision added."""
    if state.revision is None or not problems:
        return state
    return replace(state, state="ERROR", reasons=(*state.reasons, *problems))


def describe_status(name: str, deployment: DeploymentState | None, found: ProjectState | None) -> ProjectStatus:
    """Return the status; `found` is None if nothing is deployed."""
    return ProjectStatus(
        name=name,
        deployment=None if deployment is None else describe_deployment_answer(deployment),
        model=None if found is None else _describe_models(found),
        execution=None if found is None else _describe_execution(found),
        data=None if found is None else _describe_data(found),
    )


def _describe_models(found: ProjectState) -> StatusAnswer:
    used = {store.model for store in found.project.evaluation_stores.values() if store.model}
    notes, missing = [], False
    for name, model in found.project.models.items():
        newest = found.store.models.find_newest(name)
        if newest is None and not isinstance(model, TrainModel):
            notes.append(f"{name}: {model.kind}, used as it is")
            continue
        if newest is None:
            missing = missing or name in used
            notes.append(f"{name}: no version yet")
            continue
        notes.append(f"{name}: version {newest.version}, {_describe_age(newest.created, found.now)} old")
    return StatusAnswer(well=not missing, state="MISSING" if missing else "OK", told=tuple(notes))


def _describe_age(created: datetime, now: datetime) -> str:
    seconds = (now - created).total_seconds()
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0, seconds):.0f} seconds"


def _describe_execution(found: ProjectState) -> StatusAnswer:
    notes, state = [], "OK"
    for name in found.project.scenarios:
        last = next(iter(found.store.runs.history(name, last=1, whole=False)), None)
        if last is None:
            continue
        notes.append(f"{name}: {last.state}, {format_minute(last.started)}")
        if last.outcome in (Outcome.FAILED, Outcome.ABORTED):
            state = "FAILED"
    overdue = describe_late_triggers(found.project, found.store, found.now)
    if overdue and state == "OK":
        state = "OVERDUE"
    return StatusAnswer(well=state == "OK", state=state, told=(*notes, *overdue))


def _describe_data(found: ProjectState) -> StatusAnswer:
    counts_as: list[CheckOutcome] = []
    notes = []
    for name in found.project.evaluation_stores:
        newest = next(iter(found.store.evaluations.history(name, 1, metrics=[])), None)
        outcomes = found.store.checks.list_outcomes(name, [newest.id]).get(newest.id, {}) if newest else {}
        counted = [one for of_check in outcomes.values() for one in of_check]
        if newest is None or not counted:
            notes.append(f"{name}: {'no checks were applied to ' + newest.name if newest else 'no evaluation yet'}")
            continue
        counts_as += counted
        notes.append(f"{name}, {newest.name}: {_count_outcomes(counted)}")
    for name, dataset in found.project.datasets.items():
        if not dataset.checks:
            continue
        points = found.store.checks.history(name)
        last = [point.result.counts_as for point in points if points and point.run == points[-1].run]
        counts_as += last
        notes.append(f"{name}: {_count_outcomes(last) if last else 'no checks were applied yet'}")
    if not counts_as:
        return StatusAnswer(well=True, state="UNKNOWN", told=tuple(notes))
    worst = max(counts_as, key=list(CheckOutcome).index)
    return StatusAnswer(well=worst is not CheckOutcome.ERROR, state=str(worst), told=tuple(notes))


def _count_outcomes(outcomes: Sequence[CheckOutcome]) -> str:
    counts = {one: outcomes.count(one) for one in CheckOutcome}
    return ", ".join(f"{count} {one}" for one, count in counts.items() if count)
