"""What a drill has found: the checks and steps of its runs without and with the disturbances, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.result import RunResult, StepResult
from engine.spec.disturbances import Disturbance
from engine.views.run_view import name_iteration


@dataclass(frozen=True, slots=True)
class DrilledCheck:
    """What a check gives on one metric without and with the disturbances; None where it is not applied.

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
        """Whether it counts as WARNING or ERROR because of the disturbances: it did not, or was milder, without."""
        return _severity(self.after) > _severity(self.before)

    @property
    def muted(self) -> bool:
        """Whether it would fire if nobody had muted it."""
        found = self.after
        bad = (CheckOutcome.WARNING, CheckOutcome.ERROR)
        return found is not None and found.muted and found.outcome in bad and found.counts_as not in bad

    @property
    def fired_before(self) -> bool:
        """Whether it counts as WARNING or ERROR without any disturbance."""
        return _severity(self.before) > 0


def _severity(result: CheckResult | None) -> int:
    """Return 0 for what is OK or not applied, 1 for WARNING, 2 for ERROR."""
    counts_as = CheckOutcome.OK if result is None else result.counts_as
    return {CheckOutcome.WARNING: 1, CheckOutcome.ERROR: 2}.get(counts_as, 0)


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a drill has found.

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
        What was disturbed, and what that has changed, in words.
    remarks
        What must be known of the runs.
    before, after
        The runs without and with the disturbances.
    messages
        What each reporter would do in the runs with the disturbances.
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
        """Return every check that a run has applied, by metric, in the order of the steps."""
        before, after = collect_checks(self.before), collect_checks(self.after)
        return [DrilledCheck(key[0], before.get(key), after.get(key)) for key in {**before, **after}]

    def list_failures(self) -> list[StepResult]:
        """Return the steps that could not do their work because of the disturbances."""
        before = {(turn, step.name) for turn, step in list_all_steps(self.before) if _has_failed(step)}
        after = list_all_steps(self.after)
        return [step for turn, step in after if _has_failed(step) and (turn, step.name) not in before]

    @property
    def heard(self) -> bool:
        """Whether a check fires or a step fails because of the disturbances."""
        return bool(self.list_failures()) or any(check.fires for check in self.compare_checks())


def collect_checks(runs: Sequence[RunResult]) -> dict[tuple[str, str, str, str], CheckResult]:
    """Return the results by iteration, target, check and metric.

    Of a check that is applied again, the worst one counts: the batch may also be what a model was trained on, whose
    checks see the rows that are not disturbed.
    """
    found: dict[tuple[str, str, str, str], CheckResult] = {}
    for turn, step in list_all_steps(runs):
        for check in step.checks:
            key = (turn, check.target, check.check, check.metric)
            found[key] = max(found.get(key, check), check, key=_severity)
    return found


def list_all_steps(runs: Sequence[RunResult], turn: str = "") -> Iterator[tuple[str, StepResult]]:
    """Yield each step of runs and of the runs that they started, with the iterations that it belongs to."""
    for step in (step for run in runs for step in run.steps):
        inner = ", ".join(filter(None, [turn, name_iteration(step.turn)]))
        yield inner, step
        if step.run is not None:
            yield from list_all_steps([step.run], inner)


def _has_failed(step: StepResult) -> bool:
    """Tell whether a step could not do its work: for another reason than its checks or the steps of its run."""
    bad = step.outcome in (Outcome.WARNING, Outcome.FAILED, Outcome.ABORTED)
    return bad and step.run is None and step.cause != "check" and not any(map(_severity, step.checks))
