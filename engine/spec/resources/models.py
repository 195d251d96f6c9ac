"""The kinds of `models:`, and what their algorithms can learn."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import Function, Names, ReadPath, Ref, Resource, Scalar, Share

Task = Literal["binary_classification", "multiclass_classification", "regression"]
Algorithm = Literal[
    "hist_gradient_boosting",
    "random_forest",
    "extra_trees",
    "logistic_regression",
    "linear_regression",
    "ridge",
    "decision_tree",
]

_CLASSIFICATION: tuple[Task, ...] = ("binary_classification", "multiclass_classification")
ALGORITHMS: dict[Algorithm, tuple[Task, ...]] = {
    "hist_gradient_boosting": (*_CLASSIFICATION, "regression"),
    "random_forest": (*_CLASSIFICATION, "regression"),
    "extra_trees": (*_CLASSIFICATION, "regression"),
    "logistic_regression": _CLASSIFICATION,
    "linear_regression": ("regression",),
    "ridge": ("regression",),
    "decision_tree": (*_CLASSIFICATION, "regression"),
}
"""The tasks of each algorithm. (Ridge classifies too, but without probabilities.)"""


_THRESHOLD = (
    "Binary only: a probability of at least this predicts the positive class. If left out, the model's own predictions "
    "count, or 0.5 where it gives probabilities alone."
)


class Features(Resource):
    """The columns that are features: those of include (all if left out) without those of exclude."""

    include: Names | None = Field(
        None, min_length=1, description="Columns to use; all that can be features if left out."
    )
    exclude: Names = Field([], description="Columns not to use. The target is never a feature.")


class HoldOut(Resource):
    """The rows held out of training; they are the default reference for drift and performance."""

    share: Share = Field(
        0.2, description="Share of the rows to hold out; of the entities if the dataset declares entity."
    )
    seed: int = Field(0, ge=0, description="Random seed; another seed holds out other rows.")


class CostMatrix(Resource):
    """The gain of each kind of prediction, per row; a loss is negative."""

    true_positive: float = Field(1.0, description="Gain of a true positive.")
    false_positive: float = Field(-1.0, description="Gain of a false positive.")
    true_negative: float = Field(0.0, description="Gain of a true negative.")
    false_negative: float = Field(0.0, description="Gain of a false negative.")


class Model(Resource):
    """The keys of all kinds of models."""

    description: str | None = Field(None, description="Free text for readers; a change of it recomputes nothing.")
    task: Task = Field(description="What the model predicts.")
    target: str = Field(
        description="Column with the true value; missing in rows whose true value is not known yet. Batch or reference "
        "may lack the column, but not both."
    )
    positive: Scalar = Field(
        None,
        description="Binary only: the positive class; if left out, the larger of the two that the model or the "
        "reference knows.",
    )
    threshold: float | None = Field(None, ge=0, le=1, description=_THRESHOLD)
    cost_matrix: CostMatrix = Field(
        CostMatrix.model_construct(), description="Binary only: gains for the metric cost_matrix_gain."
    )


class TrainModel(Model):
    """A model that scikit-learn trains on a dataset; the role of a column decides its preprocessing."""

    kind: Literal["train"] = "train"
    algorithm: Algorithm = Field("hist_gradient_boosting", description="Learning algorithm.")
    parameters: dict[str, Scalar] = Field(
        {}, description="Parameters of the algorithm, by the names that scikit-learn gives them."
    )
    dataset: Annotated[str, Ref("datasets")] = Field(description="Name of the dataset to train on.")
    features: Features = Field(Features.model_construct(), description="Which columns are features.")
    test: HoldOut = Field(HoldOut.model_construct(), description="Which rows to hold out for testing.")
    seed: int = Field(0, ge=0, description="Random seed of the training.")
    frozen: bool = Field(
        False,
        description="Never train it again: a run that would replace the trained version fails and says why.",
    )
    threshold: float = Field(0.5, ge=0, le=1, description=_THRESHOLD)


class SkopsModel(Model):
    """A scikit-learn estimator saved with skops; loading is limited to types that you allow."""

    kind: Literal["skops"] = "skops"
    connection: Annotated[str, Ref("connections")] | None = Field(
        None, description="Connection whose folder path starts from; the folder of the spec if left out."
    )
    path: ReadPath = Field(description="Path of the .skops file.")
    allow: Names = Field([], description="Full names of types to trust in addition to those that skops trusts.")
    features: Features = Field(
        Features.model_construct(), description="Columns to pass to the estimator, in the order of include."
    )


class ScoredModel(Model):
    """A model that runs elsewhere: its predictions are columns of the data."""

    kind: Literal["scored"] = "scored"
    prediction: str | None = Field(None, description="Column with the predicted class or value.")
    probability: str | dict[str, str] | None = Field(
        None, description="Column with the probability of the positive class, or one column per class."
    )
    features: Features = Field(Features.model_construct(), description="Which columns are features.")


class PythonModel(Model):
    """A function of yours that gets the features as a polars frame and returns predictions or probabilities."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")
    features: Features = Field(Features.model_construct(), description="Columns to pass to the function.")


AnyModel = Annotated[TrainModel | SkopsModel | ScoredModel | PythonModel, Field(discriminator="kind")]
MODEL_KINDS: dict[str, type[Resource]] = {
    "train": TrainModel,
    "skops": SkopsModel,
    "scored": ScoredModel,
    "python": PythonModel,
}
