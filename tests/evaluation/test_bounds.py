"""What a check has allowed keeps its type, and is the JSON that it always was."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.bounds import AllowedValues, AppliedRange, CheckBounds, bounds_from_json, bounds_to_json
from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.result import StepResult
from engine.spec.resources.checks import BOUND_MEANINGS, Range, build_bounds

KEYS = list(BOUND_MEANINGS)
limits = st.dictionaries(st.sampled_from(KEYS), st.floats(allow_nan=False, allow_infinity=False)).map(build_bounds)
scalars = st.lists(
    st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.booleans())
).map(tuple)
any_bounds = st.one_of(
    st.none(),
    st.builds(AppliedRange, limits.filter(bool), st.booleans()),
    st.builds(
        AppliedRange, limits, st.just(False), st.sampled_from(["previous", "mean_of_last 3"]), st.just("relative")
    ),
    st.builds(AllowedValues, scalars, st.one_of(st.none(), scalars)),
)


@given(any_bounds)
def test_bounds_come_back_from_their_json(bounds: CheckBounds | None) -> None:
    assert bounds_from_json(json.loads(json.dumps(bounds_to_json(bounds)))) == bounds


@given(any_bounds)
def test_the_result_of_a_step_comes_back_from_the_process_that_ran_it(bounds: CheckBounds | None) -> None:
    check = CheckResult("s", "c", "drift.a", CheckOutcome.OK, CheckOutcome.OK, 0.5, bounds)
    now = datetime(2026, 11, 23, tzinfo=UTC)
    step = StepResult(name="a", kind="run_checks", outcome=Outcome.SUCCESS, started=now, checks=[check])
    text = step.model_dump_json()
    assert json.loads(text)["checks"][0]["bounds"] == json.loads(json.dumps(bounds_to_json(bounds)))
    assert StepResult.model_validate_json(text).checks == [check]


def test_the_json_has_the_keys_of_the_spec_in_ascending_order() -> None:
    hours = AppliedRange(Range(max=7200.0, soft_max=3600.0).bounds, in_seconds=True)
    assert json.dumps(bounds_to_json(hours)) == '{"soft_max": 3600.0, "max": 7200.0, "unit": "seconds"}'
    assert bounds_to_json(AppliedRange(Range(min=1.0).bounds, compare="previous", change="absolute")) == {
        "min": 1.0,
        "compare": "previous",
        "change": "absolute",
    }
    assert bounds_to_json(AllowedValues((0, 1), (0,))) == {"allowed": [0, 1], "soft_allowed": [0]}


def test_a_range_has_four_bounds_each_with_a_side_and_an_outcome() -> None:
    assert set(KEYS) == set(Range.model_fields)
    whole = AppliedRange(Range(min=1, soft_min=2, soft_max=3, max=4).bounds)
    assert [limit.key for limit in whole.limits] == KEYS
    assert (whole.lower, whole.upper) == (whole.find_limit("soft_min"), whole.find_limit("soft_max"))
    assert [limit.is_broken_by(2.5) for limit in whole.limits] == [False] * 4
    assert [limit.side for limit in whole.limits if limit.is_broken_by(0)] == ["below min", "below soft_min"]
    assert whole.compute_excess(6) == pytest.approx(3)
