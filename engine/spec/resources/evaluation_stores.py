"""`evaluation_stores:`: the batch of an evaluation, its reference, and the model that scores it, if any."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.checks import Check, PythonMetric
from engine.spec.resources.resource import Duration, MetricText, Names, Ref, Resource, RowCondition, Share


class TimeWindow(Resource):
    """A window of time."""

    start: date | datetime = Field(description="Start of the window; a date means the start of that day.")
    end: date | datetime = Field(description="End of the window, which is not part of it.")


class NewEvaluation(Resource):
    """Name, labels and time of the next evaluation."""

    name: str | None = Field(
        None,
        description="Name of the evaluation. If left out: its `time`, or the time of the build if it has no `time`.",
    )
    labels: dict[str, str] = Field({}, description="Labels for finding the evaluation later.")
    time: date | datetime | TimeWindow | None = Field(
        None,
        description="Date, time or window that the batch represents; if left out, the time of the build. It orders the "
        "history of the store.",
    )


class ModelTestReference(Resource):
    """The rows held out when the model was trained, kept with the model version."""

    kind: Literal["model_test"] = "model_test"


class DatasetReference(Resource):
    """The rows of a dataset."""

    kind: Literal["dataset"] = "dataset"
    dataset: Annotated[str, Ref("datasets")] = Field(description="Name of the dataset to compare with.")


class EvaluationReference(Resource):
    """An earlier evaluation of the same store."""

    kind: Literal["evaluation"] = "evaluation"
    name: str = Field(description="Name of the evaluation to compare with; the newest one with that name is used.")


class RollingReference(Resource):
    """The latest evaluations of the same store, combined."""

    kind: Literal["rolling"] = "rolling"
    last: int = Field(ge=1, description="How many evaluations to combine.")


class SamePeriodReference(Resource):
    """The evaluations of the same store for the same time in earlier periods, combined: the last four Mondays."""

    kind: Literal["same_period"] = "same_period"
    every: Duration | Literal["1mo", "3mo", "1y"] = Field(
        description="Length of a period: whole calendar days in the time zone of the project, or 1mo, 3mo, 1y."
    )
    last: int = Field(ge=1, description="How many periods to go back.")


AnyReference = Annotated[
    ModelTestReference | DatasetReference | EvaluationReference | RollingReference | SamePeriodReference,
    Field(discriminator="kind"),
]
REFERENCE_KINDS: dict[str, type[Resource]] = {
    "model_test": ModelTestReference,
    "dataset": DatasetReference,
    "evaluation": EvaluationReference,
    "rolling": RollingReference,
    "same_period": SamePeriodReference,
}


class DriftColumns(Resource):
    """Columns to leave out of the drift statistics."""

    exclude: Names = Field([], description="Columns to exclude from all drift statistics.")


class DriftSettings(Resource):
    """Settings of the drift statistics."""

    columns: DriftColumns = Field(DriftColumns.model_construct(), description="Which columns to leave out.")
    confidence: Share = Field(
        0.95, description="Confidence level of the intervals and of the decisions whether columns have drifted."
    )
    max_rows: int = Field(
        100_000,
        ge=100,
        description="Maximum number of rows per side for the drift model; all other statistics use all rows.",
    )
    seed: int = Field(0, ge=0, description="Random seed for the sample, the split and the training of the drift model.")


class Display(Resource):
    """What tables and reports show first."""

    metrics: list[MetricText] = Field([], description="Metrics to show, in this order.")
    checks: Names = Field([], description="Checks to show, in this order.")


class SegmentCondition(Resource):
    """A segment defined by a condition: the rows for which the condition is true."""

    name: str = Field(min_length=1, description="Name of the segment in checks, metrics and reports.")
    where: RowCondition = Field(
        description="SQL condition on the columns of the batch and the reference, such as age < 25."
    )


class SegmentSearch(Resource):
    """Limits of the search for undeclared segments."""

    columns: Names = Field([], description="Columns to use in conditions; if left out, all columns that are compared.")
    max_depth: int = Field(2, ge=1, le=2, description="Maximum number of conditions that describe a group of rows.")
    min_rows: int = Field(
        100, ge=40, description="Minimum number of rows of a group on each side; half of them are used for the search."
    )
    max_segments: int = Field(
        3,
        ge=1,
        le=10,
        description="Maximum number of groups to propose and test. The more groups, the more rows each test needs.",
    )


class EvaluationStoreSpec(Resource):
    """A store of evaluations (MES); each build adds one row."""

    description: str | None = Field(None, description="Free text for readers. Changing it causes no recomputation.")
    model: Annotated[str, Ref("models")] | None = Field(
        None, description="Name of the model to evaluate; leave it out to monitor only data."
    )
    challenger: Annotated[str, Ref("models")] | None = Field(
        None,
        description="Name of a model to compare with `model` on the same rows of the same batch. The metrics "
        "`advantage.roc_auc` and so on show how much better it is. All other metrics describe only `model`.",
    )
    dataset: Annotated[str, Ref("datasets")] = Field(description="Name of the dataset that is the batch.")
    evaluation: NewEvaluation = Field(
        NewEvaluation.model_construct(), description="Name, labels and time of the next evaluation."
    )
    reference: AnyReference | None = Field(
        None, description="Rows to compare the batch with; the test rows of the model if left out."
    )
    across_models: bool | None = Field(
        None,
        description="Whether the history continues when the model or its settings change. The history contains the "
        "earlier evaluations that a batch is compared with and that changes are measured from. If left out: no if "
        "evaluations have a `time`, otherwise yes.",
    )
    estimates: Literal["auto", "calibrated", "reweighted"] | None = Field(
        None,
        description="Estimate the performance before labels arrive, as the metrics `estimated_roc_auc` and so on; no "
        "estimates if left out. `calibrated` uses the relation between scores and labels in the reference. "
        "`reweighted` also weights the rows of the reference to resemble the batch. `auto` reweights if the drift "
        "model finds drift. If the batch has some labels, they correct the estimate.",
    )
    segments: list[str | SegmentCondition] = Field(
        [],
        description="Parts of the rows that are compared and measured separately, in addition to the whole. A column "
        "name creates a segment for each of its 20 most frequent values in the reference (`country = IT`), one for all "
        "other values (`country is another value`) and one for rows without a value (`country is missing`). A "
        "condition creates one segment. The significance level 1 - confidence applies to all verdicts together: the "
        "whole has half of it, and the segments share the other half. A segment needs 100 rows on each side.",
    )
    find_segments: bool | SegmentSearch = Field(
        False,
        description="Whether to search for groups of rows that have drifted, or lost performance, more than all rows. "
        "One or two conditions on columns describe a group, such as age <= 25 AND country = 'DE'. The search uses one "
        "half of the entities (of the rows without `entity`); the other half tests the groups, together with all other "
        "verdicts. A confirmed group becomes a segment named `found: age <= 25 AND country = 'DE'`, and the metric "
        "`found_segments` counts these segments. A mapping sets the limits of the search.",
    )
    drift: DriftSettings = Field(DriftSettings.model_construct(), description="How to measure drift.")
    display: Display = Field(Display.model_construct(), description="What tables and reports show first.")
    metrics: dict[str, PythonMetric] = Field({}, description="Custom metrics, computed by Python functions, by name.")
    checks: dict[str, Check] = Field({}, description="Checks of the metrics, by name.")

    @property
    def segment_search(self) -> SegmentSearch | None:
        """The limits of the search for segments; None without a search."""
        if isinstance(self.find_segments, SegmentSearch):
            return self.find_segments
        return SegmentSearch() if self.find_segments else None

    @property
    def has_segments(self) -> bool:
        """Whether the store declares segments or searches for them."""
        return bool(self.segments) or self.segment_search is not None

    @property
    def keeps_scored_rows(self) -> bool:
        """Whether rows are kept with the predictions of the model."""
        return self.estimates is not None or self.segment_search is not None

    @property
    def continues_across_models(self) -> bool:
        """Whether the history of the store continues with another model."""
        return self.evaluation.time is None if self.across_models is None else self.across_models
