"""Custom metrics, and the kinds of `checks:`: which values of a metric are allowed."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from engine.outcome import CheckOutcome
from engine.spec.resources.resource import Bound, Function, MetricText, Resource, Scalar

WhenEmpty = Literal["ok", "warning", "error"]


class PythonMetric(Resource):
    """A metric of your own: a Python function computes it from the rows and returns a number."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    description: str | None = Field(None, description="What the metric measures, as shown in reports and messages.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")


FEWEST_TYPICAL = 8
"""Earlier values that it takes to say what is typical."""


class EarlierEvaluations(Resource):
    """Compare with the mean of the latest evaluations, or with what is typical of them; one of the keys is given."""

    mean_of_last: int | None = Field(None, ge=1, description="How many earlier evaluations to average.")
    typical_of_last: int | None = Field(
        None,
        ge=FEWEST_TYPICAL,
        description="How many earlier evaluations to take the quartiles of; EMPTY while fewer than 8 have a value. "
        "Bounds apply to how far the value is outside of the quartiles, in interquartile ranges, negative below.",
    )


class RangeBound(NamedTuple):
    """One bound of a range: its key, its value (durations in seconds), its side, and the outcome of what is beyond."""

    key: str
    value: float
    is_lower: bool
    outcome: CheckOutcome

    @property
    def side(self) -> str:
        """Where a value is that breaks it: `below soft_min`."""
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
        """The bounds that are given, in the order that their values must have; durations in seconds."""
        return build_bounds({key: getattr(self, key) for key in BOUND_MEANINGS})


BOUND_MEANINGS = {
    "min": (True, CheckOutcome.ERROR),
    "soft_min": (True, CheckOutcome.WARNING),
    "soft_max": (False, CheckOutcome.WARNING),
    "max": (False, CheckOutcome.ERROR),
}
"""For each key of a range, in ascending order: whether it is a lower bound, and the outcome of what is beyond."""


def build_bounds(values: Mapping[str, Any]) -> tuple[RangeBound, ...]:
    """Return the bounds that a mapping gives by their keys, in ascending order; other keys are passed over."""
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
        "the metric says too little.",
    )
    compare: Literal["previous", "reference"] | EarlierEvaluations | None = Field(
        None,
        description="Check the change from the previous evaluation, from the reference, from a mean, or from what is "
        "typical, instead of the value itself.",
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


Check = Annotated[RangeCheck | ValuesCheck | PythonCheck, Field(discriminator="kind")]
CHECK_KINDS: dict[str, type[Resource]] = {"range": RangeCheck, "values": ValuesCheck, "python": PythonCheck}


def select_active_checks(checks: Mapping[str, Check]) -> dict[str, Check]:
    """Return the checks that are applied: those that are not switched off."""
    return {name: check for name, check in checks.items() if check.active}


def describe_inactive_checks(checks: Mapping[str, Check]) -> str:
    """Return `switched off: a, b`, or an empty text if every check is active."""
    inactive = [name for name, check in checks.items() if not check.active]
    return f"switched off: {', '.join(inactive)}" if inactive else ""


def count_past(checks: Iterable[Check]) -> int:
    """Return how many earlier evaluations checks look at, at most."""
    compared = [check.compare for check in checks if isinstance(check, RangeCheck)]
    return max(map(_count_compared, compared), default=0)


def _count_compared(compare: str | EarlierEvaluations | None) -> int:
    if isinstance(compare, EarlierEvaluations):
        return compare.mean_of_last or compare.typical_of_last or 0
    return int(compare == "previous")
