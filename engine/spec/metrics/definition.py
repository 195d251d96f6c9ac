"""The definition of a metric: range, direction, member after the dot, and required model and columns."""

from typing import Literal, NamedTuple

MetricScope = Literal["dataset", "store"]
MetricMember = Literal["column", "class", "statistic", "performance"]

MEMBER_NAMES: dict[str, str] = {
    "column": "column",
    "class": "class",
    "statistic": "statistic",
    "performance": "performance metric",
}
"""The kind of the part after the dot, for messages."""
MEMBER_SAMPLES = {"column": "<column>", "class": "<class>", "statistic": "psi", "performance": "roc_auc"}

BINARY, MULTICLASS, REGRESSION = "binary_classification", "multiclass_classification", "regression"
CLASSIFICATION_TASKS = (BINARY, MULTICLASS)
ALL_TASKS = (BINARY, MULTICLASS, REGRESSION)

ALL_ROLES = ("numerical", "categorical")
NUMERICAL_ROLE = ("numerical",)
CATEGORICAL_ROLE = ("categorical",)
TIME_ROLE = ("time",)


class MetricDefinition(NamedTuple):
    """One metric of the catalogue.

    Attributes
    ----------
    name
        The statistic, which is the part before the dot.
    scope
        Whether the metric exists for datasets or for evaluation stores.
    member
        What follows the dot; None if nothing may follow.
    low, high
        Smallest and largest possible value; None if there is no bound.
    worse
        The direction in which the metric gets worse; None if neither direction is worse.
    neutral
        Its value for a large batch without drift; None if that is not defined.
    tasks
        Tasks of the models for which the metric exists; empty if no model is needed.
    labels
        Whether the metric needs true values.
    interval
        Whether the metric has a confidence interval, which `certain: true` in a check needs.
    roles
        Roles of the columns for which the metric exists, `time` for dates and datetimes; empty if `member` is not a
        column.
    unit
        The unit of the value, if it is always the same; bounds of a metric in seconds may be durations such as 36h.
    description
        One line, with the source of the definition if there is one.
    """

    name: str
    scope: MetricScope
    description: str
    member: MetricMember | None = None
    low: float | None = None
    high: float | None = None
    worse: Literal["higher", "lower"] | None = None
    neutral: float | None = None
    tasks: tuple[str, ...] = ()
    labels: bool = False
    interval: bool = False
    roles: tuple[str, ...] = ()
    unit: Literal["seconds"] | None = None

    def exists_for(self, task: str | None) -> bool:
        """Return whether a store has the metric, given its model's task; None without a model, "any" if unknown."""
        return not self.tasks or task == "any" or task in self.tasks
