"""Custom metrics, and the kinds of `checks:`: which values of a metric are allowed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from engine.outcome import CheckOutcome
from engine.spec.resources.resource import Bound, Duration, Function, MetricText, Resource, Scalar

WhenEmpty = Literal["ok", "warning", "error"]


class PythonMetric(Resource):
    """A metric of your own: a Python function computes it from the rows and returns a number."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    description: str | None = Field(None, description="What the metric measures, as shown in reports and messages.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")


class MeanOfLast(Resource):
    """Compare with the mean of the latest evaluations."""

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
    active: bool = Field(True, description="Whether the check is applied at all.")
    metric: MetricText = Field(description="Metric to check: statistic or statistic.column; * stands for every column.")
    segment: str | None = Field(
        None,
        description="Check the metric in a segment of the store, or in each that a text with * stands for: "
        "`country = *`. The whole batch if left out.",
    )
    min_rows: int | None = Field(
        None,
        ge=1,
        description="Rows of the batch, or of the segment, below which the check is EMPTY and counts as OK: with fewer "
        "the metric says too little. A batch without any row counts as a WARNING.",
    )
    compare: Literal["previous", "reference"] | MeanOfLast | None = Field(
        None,
        description="Check the change from the previous evaluation, from the reference, or from a mean, instead of the "
        "value itself.",
    )
    change: Literal["absolute", "relative"] = Field(
        "absolute",
        description="With compare: check the difference, or the difference divided by the absolute value of what it is "
        "compared with.",
    )
    certain: bool = Field(
        False,
        description="Leave OK only if the whole confidence interval of the value, or of its change, is outside the "
        "bound: what chance may explain neither warns nor fails. Too few rows for an interval are told.",
    )
    except_: dict[MetricText, Range] = Field(
        {}, alias="except", description="With * in metric: other bounds for single metrics, by their names."
    )
    when_empty: WhenEmpty | None = Field(
        None,
        description="What counts if the metric has no value; WARNING if left out, or OK if only labels are missing, "
        "there are too few rows for a verdict, or no earlier evaluation to compare with.",
    )


FEWEST_TYPICAL_VALUES = 8
"""Fewest values for quartiles: with eight, a new value is beyond 1.5 interquartile ranges 1 time in 11."""


class TypicalCheck(Resource):
    """The value of a metric must lie where its earlier values lie: not far outside their quartiles."""

    kind: Literal["typical"] = "typical"
    active: bool = Field(True, description="Whether the check is applied at all.")
    metric: MetricText = Field(description="Metric to check: statistic or statistic.column; * stands for every column.")
    segment: str | None = Field(
        None,
        description="Check the metric in a segment of the store, or in each that a text with * stands for. The whole "
        "batch if left out.",
    )
    min_rows: int | None = Field(
        None,
        ge=1,
        description="Rows of the batch, or of the segment, below which the check is EMPTY and counts as OK. A batch "
        "without any row counts as a WARNING.",
    )
    last: int = Field(
        30,
        ge=FEWEST_TYPICAL_VALUES,
        description="How many of the latest earlier values are typical. With fewer than "
        f"{FEWEST_TYPICAL_VALUES} values the check is EMPTY and counts as OK.",
    )
    within: Duration | None = Field(
        None, description="Instead of last: the time before, such as 30d, of which all values are typical."
    )
    factor: float | None = Field(
        None,
        gt=0,
        le=100,
        description="A value more than this many interquartile ranges below the first or above the third quartile is "
        "an ERROR.",
    )
    soft_factor: float | None = Field(
        None, gt=0, le=100, description="As factor, but the outcome is a WARNING; 1.5 is usual."
    )
    when_empty: WhenEmpty | None = Field(
        None,
        description="What counts if the metric has no value; WARNING if left out, or OK if only labels are missing, "
        "there are too few rows for a verdict, or too few earlier values.",
    )


class ValuesCheck(Resource):
    """The value of a metric must be one of those listed."""

    kind: Literal["values"] = "values"
    active: bool = Field(True, description="Whether the check is applied at all.")
    metric: MetricText = Field(description="Metric to check: statistic or statistic.column.")
    allowed: list[Scalar] = Field(min_length=1, description="Allowed values; any other value is an ERROR.")
    soft_allowed: list[Scalar] | None = Field(
        None, description="Those of the allowed values that are OK; the others are a WARNING."
    )
    when_empty: WhenEmpty | None = Field(
        None,
        description="What counts if the metric has no value; WARNING if left out, or OK if only labels are missing "
        "or there are too few rows for a verdict.",
    )


class PythonCheck(Resource):
    """A function of yours judges the metrics and returns an outcome, or an outcome and a reason."""

    kind: Literal["python"] = "python"
    active: bool = Field(True, description="Whether the check is applied at all.")
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
    """Return the longest look back of checks."""
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
