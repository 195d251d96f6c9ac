"""`evaluation_stores:`: which batch is compared with which reference, and scored by which model, if any."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.checks import Check, PythonMetric
from engine.spec.resources.resource import Duration, MetricText, Names, Ref, Resource, RowCondition, Share


class TimeWindow(Resource):
    """A window of time."""

    start: date | datetime = Field(description="Its first moment; of a date, the start of that day.")
    end: date | datetime = Field(description="The moment at which it ends, which is not part of it.")


class NewEvaluation(Resource):
    """Name, labels and time of the next evaluation."""

    name: str | None = Field(
        None, description="Name of the evaluation; if left out, its `time`, and without one the time of the build."
    )
    labels: dict[str, str] = Field({}, description="Labels by which the evaluation can be found later.")
    time: date | datetime | TimeWindow | None = Field(
        None,
        description="What the batch stands for: a date, a time or a window. The history of the store goes by it; the "
        "moment of the build if left out.",
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
    """The latest evaluations of the same store, taken together."""

    kind: Literal["rolling"] = "rolling"
    last: int = Field(ge=1, description="How many evaluations to take.")


class SamePeriodReference(Resource):
    """The evaluations of the same store for the same time in earlier periods, taken together: the last four Mondays."""

    kind: Literal["same_period"] = "same_period"
    every: Duration | Literal["1mo", "3mo", "1y"] = Field(
        description="The length of a period: whole days by the calendar of the project's time zone, or 1mo, 3mo, 1y."
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

    exclude: Names = Field([], description="Columns to leave out of every drift statistic.")


class DriftSettings(Resource):
    """Settings of the drift statistics."""

    columns: DriftColumns = Field(DriftColumns.model_construct(), description="Which columns to leave out.")
    confidence: Share = Field(
        0.95, description="Confidence level of the intervals and of the decision whether a column has drifted."
    )
    max_rows: int = Field(
        100_000, ge=100, description="Most rows per side that the drift model uses; all other statistics use all rows."
    )
    seed: int = Field(0, ge=0, description="Random seed for the sample, the split and the training of the drift model.")


class Display(Resource):
    """What tables and reports show first."""

    metrics: list[MetricText] = Field([], description="Metrics to show, in this order.")
    checks: Names = Field([], description="Checks to show, in this order.")


class SegmentCondition(Resource):
    """A segment by a condition: the rows for which it is true."""

    name: str = Field(min_length=1, description="The name of the segment, for checks, metrics and reports.")
    where: RowCondition = Field(
        description="A condition in SQL on the columns of the batch and of the reference, such as age < 25."
    )


class SegmentSearch(Resource):
    """Bounds of the search for segments that nobody has declared."""

    columns: Names = Field(
        [], description="Columns that the conditions may be about; all that are compared if left out."
    )
    max_depth: int = Field(2, ge=1, le=2, description="Most conditions that describe a group of rows.")
    min_rows: int = Field(
        100, ge=40, description="Rows that a group needs on each side; half of them are for the search."
    )
    max_segments: int = Field(
        3, ge=1, le=10, description="Most groups that are proposed and tested; with more, each test needs more rows."
    )


class EvaluationStoreSpec(Resource):
    """A store of evaluations (MES); each build adds one row."""

    description: str | None = Field(None, description="Free text for readers; a change of it recomputes nothing.")
    model: Annotated[str, Ref("models")] | None = Field(
        None, description="Name of the model to evaluate; leave it out to watch data alone."
    )
    challenger: Annotated[str, Ref("models")] | None = Field(
        None,
        description="Name of a model that is measured against `model` on the same rows of the same batch: the metrics "
        "`advantage.roc_auc` and so on tell how much better it is. Everything else is measured of `model` alone.",
    )
    dataset: Annotated[str, Ref("datasets")] = Field(description="Name of the dataset that is the batch.")
    evaluation: NewEvaluation = Field(
        NewEvaluation.model_construct(), description="Name, labels and time of the next evaluation."
    )
    reference: AnyReference | None = Field(
        None, description="What to compare the batch with; the test rows of the model if left out."
    )
    across_models: bool | None = Field(
        None,
        description="Whether the history goes on with another model, or the same with other settings: what a batch is "
        "compared with, and what changes are measured from. If left out: not if evaluations have a `time`, else yes.",
    )
    estimates: Literal["auto", "calibrated", "reweighted"] | None = Field(
        None,
        description="Estimate the performance before labels come, as the metrics `estimated_roc_auc` and so on; not if "
        "left out. `calibrated`: by what the scores of the reference came to. `reweighted`: with the rows of the "
        "reference weighted to stand for the batch. `auto`: weighted where the drift model finds drift. Where some "
        "labels are there, they correct the estimate.",
    )
    segments: list[str | SegmentCondition] = Field(
        [],
        description="Parts of the rows that are compared and measured on their own, beside the whole. The name of a "
        "column makes a segment for each of its 20 most frequent values in the reference (`country = IT`), one for all "
        "others (`country is another value`) and one for rows without a value (`country is missing`); a condition "
        "makes one segment. All verdicts hold together: the whole has half of the level 1 - confidence, and the "
        "segments share the other half. A segment needs 100 rows on each side.",
    )
    find_segments: bool | SegmentSearch = Field(
        False,
        description="Whether to search for groups of rows that have drifted, or whose performance has fallen, more "
        "than all rows have: those that one or two conditions on columns describe, such as age <= 25 AND country = "
        "'DE'. One half of the entities (of the rows without `entity`) is searched, the other tests what is proposed, "
        "together with all other verdicts. What holds is a segment named `found: age <= 25 AND country = 'DE'`, and "
        "the metric `found_segments` counts them. A mapping sets the bounds of the search.",
    )
    drift: DriftSettings = Field(DriftSettings.model_construct(), description="How to measure drift.")
    display: Display = Field(Display.model_construct(), description="What tables and reports show first.")
    metrics: dict[str, PythonMetric] = Field({}, description="Metrics that your own functions compute, by name.")
    checks: dict[str, Check] = Field({}, description="Checks of the metrics, by name.")

    @property
    def segment_search(self) -> SegmentSearch | None:
        """The bounds of the search for segments; None if there is none."""
        if isinstance(self.find_segments, SegmentSearch):
            return self.find_segments
        return SegmentSearch() if self.find_segments else None

    @property
    def has_segments(self) -> bool:
        """Whether the store declares segments or searches for them."""
        return bool(self.segments) or self.segment_search is not None

    @property
    def keeps_scored_rows(self) -> bool:
        """Whether rows are kept with what the model says of them."""
        return self.estimates is not None or self.segment_search is not None

    @property
    def continues_across_models(self) -> bool:
        """Whether the history of the store goes on with another model."""
        return self.evaluation.time is None if self.across_models is None else self.across_models
