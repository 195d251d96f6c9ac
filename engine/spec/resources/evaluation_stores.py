"""Evaluation stores: a model (or none) meets batch after batch of a dataset, and a reference."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.checks import Check, PythonMetric
from engine.spec.resources.resource import Metric, Names, Ref, Resource, Share


class NewEvaluation(Resource):
    """How the next evaluation is called."""

    name: str | None = Field(None, description="Its name; the time of the build if left out.")
    labels: dict[str, str] = Field({}, description="Labels to find it by.")


class ModelTestReference(Resource):
    """The model's held-out test rows, frozen with the model version."""

    kind: Literal["model_test"] = "model_test"


class DatasetReference(Resource):
    """A dataset."""

    kind: Literal["dataset"] = "dataset"
    dataset: Annotated[str, Ref("datasets")] = Field(description="The dataset.")


class EvaluationReference(Resource):
    """An earlier evaluation of the same store."""

    kind: Literal["evaluation"] = "evaluation"
    name: str = Field(description="Its name; the newest of that name counts.")


class RollingReference(Resource):
    """The last evaluations of the same store, together."""

    kind: Literal["rolling"] = "rolling"
    last: int = Field(ge=1, description="How many.")


Reference = Annotated[
    ModelTestReference | DatasetReference | EvaluationReference | RollingReference, Field(discriminator="kind")
]
REFERENCE_KINDS: dict[str, type[Resource]] = {
    "model_test": ModelTestReference,
    "dataset": DatasetReference,
    "evaluation": EvaluationReference,
    "rolling": RollingReference,
}


class DriftColumns(Resource):
    """Which of the columns that could take part do not."""

    exclude: Names = Field([], description="Columns left out of every drift statistic.")


class DriftSettings(Resource):
    """How drift is measured."""

    columns: DriftColumns = Field(DriftColumns.model_construct(), description="Which columns take part.")
    confidence: Share = Field(0.95, description="Of intervals and verdicts.")
    max_rows: int = Field(100_000, ge=100, description="Rows a side that the drift model alone may use.")
    seed: int = Field(0, ge=0, description="Seed of the drift model's sample, split and training.")


class Display(Resource):
    """What tables and pages show first."""

    metrics: list[Metric] = Field([], description="Metrics, in this order.")
    checks: Names = Field([], description="Checks, in this order.")


class EvaluationStore(Resource):
    """A store of evaluations (MES): one row a build."""

    description: str | None = Field(None, description="For people; recomputes nothing.")
    model: Annotated[str, Ref("models")] | None = Field(None, description="The model; none to watch data alone.")
    dataset: Annotated[str, Ref("datasets")] = Field(description="The batch.")
    evaluation: NewEvaluation = Field(
        NewEvaluation.model_construct(), description="Name and labels of the next evaluation."
    )
    reference: Reference | None = Field(
        None, description="What the batch is compared with: the model's test rows if left out."
    )
    drift: DriftSettings = Field(DriftSettings.model_construct(), description="How drift is measured.")
    display: Display = Field(Display.model_construct(), description="What is shown first.")
    metrics: dict[str, PythonMetric] = Field({}, description="Metrics of your own, by name.")
    checks: dict[str, Check] = Field({}, description="What the metrics must be, by name.")
