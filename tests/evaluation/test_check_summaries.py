"""The order of results, and the line that says what they are."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.bounds import bounds_from_json
from engine.evaluation.checks.counts import PassedChecks, sort_by_severity
from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome

from .applied_checks import EMPTY, ERROR, OK, SEVERITY, WARNING, numbers

outcomes = st.sampled_from(list(CheckOutcome))

results = st.lists(
    st.builds(
        lambda check, metric, outcome, value, reason: CheckResult(
            "mes", check, metric, outcome, WARNING if outcome is EMPTY else outcome, value, {"max": 1.0}, reason
        ),
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from(["m", "n", ""]),
        outcomes,
        st.one_of(st.none(), numbers),
        st.sampled_from(["", "no labels", "few rows"]),
    ),
    max_size=12,
)


@given(results)
def test_sorting_keeps_every_result_and_puts_the_worst_first(found: Sequence[CheckResult]) -> None:
    ordered = sort_by_severity(found)
    assert sorted(map(repr, ordered)) == sorted(map(repr, found))
    severities = [SEVERITY.index(each.counts_as) for each in ordered]
    assert severities == sorted(severities, reverse=True)
    for first, second in pairwise(ordered):
        if (first.check, first.counts_as) == (second.check, second.counts_as):
            assert first.excess >= second.excess


@given(results)
def test_a_count_says_each_metric_that_measured_nothing_or_how_many_more(found: Sequence[CheckResult]) -> None:
    forgiven = [replace(each, counts_as=OK) if each.outcome is EMPTY else each for each in found]
    passed = PassedChecks.select(forgiven)
    ok = [each for each in forgiven if each.counts_as is OK]
    empty = [each for each in ok if each.outcome is EMPTY]
    assert len(passed.checks) == len(ok)
    assert len(passed.unmeasured) == len(empty)
    text = passed.count()
    assert ("measured nothing" in text) == bool(empty)
    assert len(passed.list_unmeasured()) == len({each.reason for each in empty})
    for each in empty:
        if each.reason:
            assert each.reason in text


def test_a_summary_is_one_line_whatever_is_missing() -> None:
    for value, bounds, reason in product((None, 1.0), ({}, {"max": 0.5}), ("", "1 is above max 0.5")):
        summary = CheckResult("mes", "it", "m", ERROR, ERROR, value, bounds_from_json(bounds), reason).summary
        assert summary.startswith("it")
        assert summary == summary.strip()
        assert "\n" not in summary
