"""The result of a drill: checks and steps of its runs without and with the disturbances, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.result import RunResult, StepResult
from engine.spec.disturbances import Disturbance
from engine.views.run_view import name_iteration


@dataclass(frozen=True, slots=True)
class DrilledCheck:
    """The results of a check on one metric without and with the disturbances; None where it was not applied.

    `turn` is the iteration of `for_each`.
    """

    turn: str
    before: CheckResult | None
    after: CheckResult | None

    @property
    def result(self) -> CheckResult:
        """The result with the disturbances, else the one without."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a check that is not applied at all has no result")
        return found

    @property
    def fires(self) -> bool:
        """Whether the check counts as WARNING or ERROR with the disturbances, and as less severe without them."""
        return _severity(self.after) > _severity(self.before)

    @property
    def muted(self) -> bool:
        """Whether the check would fire if it were not muted."""
        found = self.after
        bad = (CheckOutcome.WARNING, CheckOutcome.ERROR)
        return found is not None and found.muted and found.outcome in bad and found.counts_as not in bad

    @property
    def fired_before(self) -> bool:
        """Whether the check counts as WARNING or ERROR without any disturbance."""
        return _severity(self.before) > 0


def _severity(result: CheckResult | None) -> int:
    """Return 2 for ERROR, 1 for WARNING, and 0 for any other outcome or a check that is not applied."""
    counts_as = CheckOutcome.OK if result is None else result.counts_as
    return {CheckOutcome.WARNING: 1, CheckOutcome.ERROR: 2}.get(counts_as, 0)


@dataclass(frozen=True, slots=True)
class DrillResult:
    """The result of a drill.

    Attributes
    ----------
    datasets
        The batches that were disturbed: one, unless a loop changes the dataset of the store.
    scenarios
        The scenarios that were run.
    others
        Further scenarios that build or check the store, which were not run.
    unchecked
        Checks of the store and its dataset that no step of these scenarios applies.
    disturbances
        Each disturbance with a text about what it changed.
    remarks
        Texts about limits of the drill, such as several disturbed batches.
    before, after
        The runs without and with the disturbances.
    messages
        The messages that the runs with the disturbances would send, or why a reporter would not send.
    """

    store: str
    datasets: tuple[str, ...]
    scenarios: tuple[str, ...]
    others: tuple[str, ...]
    unchecked: tuple[str, ...]
    disturbances: tuple[tuple[Disturbance, str], ...]
    remarks: tuple[str, ...]
    before: tuple[RunResult, ...]
    after: tuple[RunResult, ...]
    messages: tuple[str, ...]

    def compare_checks(self) -> list[DrilledCheck]:
        """Return every check that a run has applied, one entry per metric, in the order of the steps."""
        before, after = collect_checks(self.before), collect_checks(self.after)
        return [DrilledCheck(key[0], before.get(key), after.get(key)) for key in {**before, **after}]

    def list_failures(self) -> list[StepResult]:
        """Return the steps that fail with the disturbances and do not fail without them."""
        before = {(turn, step.name) for turn, step in list_all_steps(self.before) if _has_failed(step)}
        after = list_all_steps(self.after)
        return [step for turn, step in after if _has_failed(step) and (turn, step.name) not in before]

    @property
    def heard(self) -> bool:
        """Whether somebody would learn of the disturbances: a check fires or a step fails because of them."""
        return bool(self.list_failures()) or any(check.fires for check in self.compare_checks())


def collect_checks(runs: Sequence[RunResult]) -> dict[tuple[str, str, str, str], CheckResult]:
    """Return the check results by iteration, target, check and metric.

    Of a check that was applied several times, the worst result counts: if the batch is also the training data of a
    model, its checks are applied to the undisturbed rows as well.
    """
    found: dict[tuple[str, str, str, str], CheckResult] = {}
    for turn, step in list_all_steps(runs):
        for check in step.checks:
            key = (turn, check.target, check.check, check.metric)
            found[key] = max(found.get(key, check), check, key=_severity)
    return found


def list_all_steps(runs: Sequence[RunResult], turn: str = "") -> Iterator[tuple[str, StepResult]]:
    """Yield each step of runs and of their child runs, with the names of the iterations that it belongs to."""
    for step in (step for run in runs for step in run.steps):
        inner = ", ".join(filter(None, [turn, name_iteration(step.turn)]))
        yield inner, step
        if step.run is not None:
            yield from list_all_steps([step.run], inner)


def _has_failed(step: StepResult) -> bool:
    """Return whether a step failed itself, and not because of its checks or the steps of its child run."""
    bad = step.outcome in (Outcome.WARNING, Outcome.FAILED, Outcome.ABORTED)
    return bad and step.run is None and step.cause != "check" and not any(map(_severity, step.checks))
