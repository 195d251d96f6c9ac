"""`evaluation_stores:`: which batch is compared with which reference, and scored by which model, if any."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.checks import Check, PythonMetric
from engine.spec.resources.resource import MetricText, Names, Ref, Resource, Share


class NewEvaluation(Resource):
    """Name and labels of the next evaluation."""

    name: str | None = Field(None, description="Name of the evaluation; the time of the build if left out.")
    labels: dict[str, str] = Field({}, description="Labels by which the evaluation can be found later.")


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


AnyReference = Annotated[
    ModelTestReference | DatasetReference | EvaluationReference | RollingReference, Field(discriminator="kind")
]
REFERENCE_KINDS: dict[str, type[Resource]] = {
    "model_test": ModelTestReference,
    "dataset": DatasetReference,
    "evaluation": EvaluationReference,
    "rolling": RollingReference,
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


class EvaluationStoreSpec(Resource):
    """A store of evaluations (MES); each build adds one row."""

    description: str | None = Field(None, description="Free text for readers; a change of it recomputes nothing.")
    model: Annotated[str, Ref("models")] | None = Field(
        None, description="Name of the model to evaluate; leave it out to watch data alone."
    )
    dataset: Annotated[str, Ref("datasets")] = Field(description="Name of the dataset that is the batch.")
    evaluation: NewEvaluation = Field(
        NewEvaluation.model_construct(), description="Name and labels of the next evaluation."
    )
    reference: AnyReference | None = Field(
        None, description="What to compare the batch with; the test rows of the model if left out."
    )
    drift: DriftSettings = Field(DriftSettings.model_construct(), description="How to measure drift.")
    display: Display = Field(Display.model_construct(), description="What tables and reports show first.")
    metrics: dict[str, PythonMetric] = Field({}, description="Metrics that your own functions compute, by name.")
    checks: dict[str, Check] = Field({}, description="Checks of the metrics, by name.")
