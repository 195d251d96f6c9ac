"""Count check results: how many are OK, and which of these measured nothing.

A check whose metric has no value may count as OK, because labels are missing or by `when_empty: ok`. A count of OK
checks mentions these; otherwise labels that never arrive would look like a healthy model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from engine.evaluation.record import CheckResult
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_count
from engine.outcome import CheckOutcome

SHOWN_REASONS, SHOWN_METRICS = 3, 5
"""Maximum number of reasons, and of metrics per reason, that are listed."""


def sort_by_severity(checks: Iterable[CheckResult]) -> list[CheckResult]:
    """Return check results, the most severe first; within a check, those furthest outside their range first."""
    severity, listed = list(CheckOutcome), list(checks)
    order = {name: place for place, name in enumerate(dict.fromkeys(one.check for one in listed))}
    return sorted(listed, key=lambda one: (-severity.index(one.counts_as), order[one.check], -one.excess))


def describe_muted_checks(results: Iterable[CheckResult]) -> str:
    """Return which checks are muted, until when, by whom and why: `1 check is muted and does not count: …`."""
    muted = {(one.target, one.check): one.mute for one in results if one.muted}
    if not muted:
        return ""
    listed = "; ".join(f"{check!r} of {target} is {mute}" for (target, check), mute in muted.items())
    count = "1 check is muted and does" if len(muted) == 1 else f"{len(muted)} checks are muted and do"
    return f"{count} not count: {listed}"


@dataclass(frozen=True, slots=True)
class PassedChecks:
    """The results that count as OK: the check of each, and (metric, reason) of those that measured nothing."""

    checks: Sequence[str]
    unmeasured: Sequence[tuple[str, str]]

    @classmethod
    def select(cls, results: Iterable[CheckResult]) -> Self:
        """Return the results that count as OK, without those of muted checks."""
        passed = [result for result in results if result.counts_as is CheckOutcome.OK and not result.muted]
        empty = [result for result in passed if result.outcome is CheckOutcome.EMPTY]
        return cls([one.check for one in passed], [(one.metric or one.check, one.reason) for one in empty])

    def count(self) -> str:
        """Return how many passed: `5 checks, 2 of them measured nothing: roc_auc, f1 (no labels)`."""
        names = list(dict.fromkeys(self.checks))
        text = format_count(len(names), "check")
        if len(names) != len(self.checks):
            text = f"{len(self.checks)} metrics of {repr(names[0]) if len(names) == 1 else text}"
        return f"{text}, {self.describe_unmeasured()}" if self.unmeasured else text

    def describe_unmeasured(self) -> str:
        """Return how many measured nothing, and why: `2 of them measured nothing: roc_auc, f1 (no labels)`."""
        number = len(self.unmeasured)
        who = f"{number} of them"
        if number == len(self.checks):
            who = {1: "which", 2: "both of which"}.get(number, "all of which")
        return f"{who} measured nothing: {join_some(self.list_unmeasured(), SHOWN_REASONS)}" if number else ""

    def list_unmeasured(self) -> list[str]:
        """Return the metrics without a value, one text per reason: `roc_auc, f1 (no labels)`."""
        by_reason: dict[str, list[str]] = {}
        for metric, reason in self.unmeasured:
            by_reason.setdefault(reason, []).append(metric)
        return [f"{join_some(metrics, SHOWN_METRICS)} ({reason})" for reason, metrics in by_reason.items()]
