"""Custom metrics, and the kinds of `checks:`, which define the allowed values of a metric."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from engine.outcome import CheckOutcome
from engine.spec.resources.resource import Bound, Duration, Function, MetricText, Resource, Scalar

WhenEmpty = Literal["ok", "warning", "error"]


class PythonMetric(Resource):
    """A custom metric: a Python function of yours computes a number from the rows."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    description: str | None = Field(None, description="Meaning of the metric, shown in reports and messages.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")


class MeanOfLast(Resource):
    """Compare with the mean of the latest earlier evaluations."""

    mean_of_last: int = Field(ge=1, description="How many earlier evaluations to average.")


class RangeBound(NamedTuple):
    """One bound of a range: its key, its value (durations in seconds), its side, and the outcome beyond it."""

    key: str
    value: float
    is_lower: bool
    outcome: CheckOutcome

    @property
    def side(self) -> str:
        """The side of violating values as text: `below soft_min`."""
        return f"{'below' if self.is_lower else 'above'} {self.key}"

    def is_broken_by(self, value: float) -> bool:
        """Return whether a value is beyond the bound, which is inclusive."""
        return value < self.value if self.is_lower else value > self.value


class Range(Resource):
    """Inclusive bounds. A value outside min..max is an ERROR, a value outside soft_min..soft_max a WARNING."""

    min: Bound | None = Field(None, description="A value below this is an ERROR.")
    soft_min: Bound | None = Field(None, description="A value below this is a WARNING.")
    soft_max: Bound | None = Field(None, description="A value above this is a WARNING.")
    max: Bound | None = Field(None, description="A value above this is an ERROR.")

    @property
    def bounds(self) -> tuple[RangeBound, ...]:
        """The declared bounds, in the required order of their values; durations in seconds."""
        return build_bounds({key: getattr(self, key) for key in BOUND_MEANINGS})


BOUND_MEANINGS = {
    "min": (True, CheckOutcome.ERROR),
    "soft_min": (True, CheckOutcome.WARNING),
    "soft_max": (False, CheckOutcome.WARNING),
    "max": (False, CheckOutcome.ERROR),
}
"""For each key of a range, in ascending order: whether it is a lower bound, and the outcome of values beyond it."""


def build_bounds(values: Mapping[str, Any]) -> tuple[RangeBound, ...]:
    """Return the bounds in a mapping, in ascending order; other keys are ignored."""
    return tuple(
        RangeBound(key, value.total_seconds() if isinstance(value, timedelta) else value, *meaning)
        for key, meaning in BOUND_MEANINGS.items()
        if (value := values.get(key)) is not None
    )


class RangeCheck(Range):
    """The value of a metric, or its change, must lie in a range."""

    kind: Literal["range"] = "range"
    active: bool = Field(True, description="Whether the check is applied.")
    metric: MetricText = Field(description="Metric to check: statistic or statistic.column; * stands for every column.")
    segment: str | None = Field(
        None,
        description="Segment of the store in which the metric is checked, or a pattern for several: `country = *`. If "
        "left out, the whole batch is checked.",
    )
    min_rows: int | None = Field(
        None,
        ge=1,
        description="Minimum number of rows of the batch or segment. With fewer rows the check is EMPTY and counts as "
        "OK, since the metric is too uncertain. A batch without rows counts as a WARNING.",
    )
    compare: Literal["previous", "reference"] | MeanOfLast | None = Field(
        None,
        description="Check the change of the metric instead of its value: the change from the previous evaluation, "
        "from the reference, or from the mean of earlier evaluations.",
    )
    change: Literal["absolute", "relative"] = Field(
        "absolute",
        description="With compare: absolute checks the difference; relative divides it by the absolute value of the "
        "number that it is compared with.",
    )
    certain: bool = Field(
        False,
        description="Warn or fail only if the whole confidence interval of the value or change is outside the bound, "
        "so that random variation causes no alert. If there are too few rows for an interval, the result says so.",
    )
    except_: dict[MetricText, Range] = Field(
        {}, alias="except", description="With * in metric: other bounds for single metrics, by name of the metric."
    )
    when_empty: WhenEmpty | None = Field(
        None,
        description="Outcome if the metric has no value. If left out: OK if only labels are missing, if there are too "
        "few rows for a verdict, or if there is no earlier evaluation to compare with; otherwise WARNING.",
    )


FEWEST_TYPICAL_VALUES = 8
"""Fewest values for quartiles: with eight, a new value is beyond 1.5 interquartile ranges 1 time in 11."""


class TypicalCheck(Resource):
    """The value of a metric must not be far outside the quartiles of its earlier values."""

    kind: Literal["typical"] = "typical"
    active: bool = Field(True, description="Whether the check is applied.")
    metric: MetricText = Field(description="Metric to check: statistic or statistic.column; * stands for every column.")
    segment: str | None = Field(
        None,
        description="Segment of the store in which the metric is checked, or a pattern with * for several. If left "
        "out, the whole batch is checked.",
    )
    min_rows: int | None = Field(
        None,
        ge=1,
        description="Minimum number of rows of the batch or segment. With fewer rows the check is EMPTY and counts as "
        "OK. A batch without rows counts as a WARNING.",
    )
    last: int = Field(
        30,
        ge=FEWEST_TYPICAL_VALUES,
        description="How many of the latest earlier values are typical. With fewer than "
        f"{FEWEST_TYPICAL_VALUES} values the check is EMPTY and counts as OK.",
    )
    within: Duration | None = Field(
        None, description="Use all values of this period before the evaluation, such as 30d, instead of the last ones."
    )
    factor: float | None = Field(
        None,
        gt=0,
        le=100,
        description="A value more than this many interquartile ranges below the first or above the third quartile is "
        "an ERROR.",
    )
    soft_factor: float | None = Field(
        None, gt=0, le=100, description="Like factor, but the outcome is a WARNING; 1.5 is usual."
    )
    when_empty: WhenEmpty | None = Field(
        None,
        description="Outcome if the metric has no value. If left out: OK if only labels are missing, if there are too "
        "few rows for a verdict, or if there are too few earlier values; otherwise WARNING.",
    )


class ValuesCheck(Resource):
    """The value of a metric must be one of those listed."""

    kind: Literal["values"] = "values"
    active: bool = Field(True, description="Whether the check is applied.")
    metric: MetricText = Field(description="Metric to check: statistic or statistic.column.")
    allowed: list[Scalar] = Field(min_length=1, description="Allowed values; any other value is an ERROR.")
    soft_allowed: list[Scalar] | None = Field(
        None, description="The allowed values that are OK; the other allowed values are a WARNING."
    )
    when_empty: WhenEmpty | None = Field(
        None,
        description="Outcome if the metric has no value. If left out: OK if only labels are missing or if there are "
        "too few rows for a verdict; otherwise WARNING.",
    )


class PythonCheck(Resource):
    """A Python function of yours that returns an outcome, or an outcome and a reason, from the metrics."""

    kind: Literal["python"] = "python"
    active: bool = Field(True, description="Whether the check is applied.")
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")


Check = Annotated[RangeCheck | TypicalCheck | ValuesCheck | PythonCheck, Field(discriminator="kind")]
CHECK_KINDS: dict[str, type[Resource]] = {
    "range": RangeCheck,
    "typical": TypicalCheck,
    "values": ValuesCheck,
    "python": PythonCheck,
}


def select_active_checks(checks: Mapping[str, Check]) -> dict[str, Check]:
    """Return the checks that are applied: those that are not switched off."""
    return {name: check for name, check in checks.items() if check.active}


def describe_inactive_checks(checks: Mapping[str, Check]) -> str:
    """Return `switched off: a, b`, or an empty text if every check is active."""
    inactive = [name for name, check in checks.items() if not check.active]
    return f"switched off: {', '.join(inactive)}" if inactive else ""


@dataclass(frozen=True, slots=True)
class PastWindow:
    """The window of earlier values for checks: a number of values, and all values up to an age."""

    count: int = 0
    age: timedelta = timedelta(0)

    def __bool__(self) -> bool:
        return self.count > 0 or self.age > timedelta(0)

    def includes(self, place: int, age: timedelta) -> bool:
        """Return whether an earlier value is in the window: `place` is 0 for the latest one, `age` is its age."""
        return place < self.count or (self.age > timedelta(0) and age <= self.age)


def find_past_window(checks: Iterable[Check]) -> PastWindow:
    """Return the longest window of earlier values that checks need."""
    count, age = 0, timedelta(0)
    for check in checks:
        if isinstance(check, TypicalCheck) and check.within is not None:
            age = max(age, check.within)
        elif isinstance(check, TypicalCheck):
            count = max(count, check.last)
        elif isinstance(check, RangeCheck):
            mean = check.compare.mean_of_last if isinstance(check.compare, MeanOfLast) else 0
            count = max(count, mean, int(check.compare == "previous"))
    return PastWindow(count, age)
