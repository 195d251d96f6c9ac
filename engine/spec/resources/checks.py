"""Metrics that users write themselves, and checks: what a metric must be."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import Function, Metric, Resource, Scalar

WhenEmpty = Literal["ok", "warning", "error"]


class PythonMetric(Resource):
    """A metric computed by a function of the user's: it takes what its dataset or store gives and returns a number."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="module:function, found beside the spec.")
    description: str | None = Field(None, description="What it measures, for pages and mails.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments of the function.")


class MeanOfLast(Resource):
    """Compare with the mean of the last evaluations."""

    mean_of_last: int = Field(ge=1, description="How many earlier evaluations.")


class Range(Resource):
    """Bounds, inclusive. Outside min..max is an ERROR, outside soft_min..soft_max a WARNING."""

    min: float | None = Field(None, description="Below it the check is ERROR.")
    soft_min: float | None = Field(None, description="Below it the check is WARNING.")
    soft_max: float | None = Field(None, description="Above it the check is WARNING.")
    max: float | None = Field(None, description="Above it the check is ERROR.")


class RangeCheck(Range):
    """A metric's value, or its change, lies in a range."""

    kind: Literal["range"] = "range"
    metric: Metric = Field(description="statistic or statistic.column; a * stands for every column.")
    compare: Literal["previous", "reference"] | MeanOfLast | None = Field(
        None, description="Put the range on the change against this instead of on the value."
    )
    change: Literal["absolute", "relative"] = Field(
        "absolute", description="With compare: the difference, or the difference divided by what it is compared with."
    )
    except_: dict[Metric, Range] = Field(
        {}, alias="except", description="With a wildcard: metrics that have a range of their own."
    )
    when_empty: WhenEmpty | None = Field(None, description="What a metric without a value counts as.")


class ValuesCheck(Resource):
    """A metric's value is one of those allowed."""

    kind: Literal["values"] = "values"
    metric: Metric = Field(description="statistic or statistic.column.")
    allowed: list[Scalar] = Field(min_length=1, description="Any other value is an ERROR.")
    soft_allowed: list[Scalar] | None = Field(None, description="Any other allowed value is a WARNING.")
    when_empty: WhenEmpty | None = Field(None, description="What a metric without a value counts as.")


class PythonCheck(Resource):
    """A function of the user's judges the metrics: it returns an outcome, or an outcome and a reason."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="module:function, found beside the spec; takes the metrics by name.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments of the function.")


Check = Annotated[RangeCheck | ValuesCheck | PythonCheck, Field(discriminator="kind")]
CHECK_KINDS: dict[str, type[Resource]] = {"range": RangeCheck, "values": ValuesCheck, "python": PythonCheck}
