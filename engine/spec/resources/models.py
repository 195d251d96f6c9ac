"""The kinds of `models:`, and the tasks of the algorithms."""

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
    "Binary only: minimum probability for predicting the positive class. If left out: the predictions of the model "
    "itself, or 0.5 if it returns only probabilities."
)


class Features(Resource):
    """The feature columns: those in include (all if left out) except those in exclude."""

    include: Names | None = Field(
        None, min_length=1, description="Columns to use; if left out, all columns that can be features."
    )
    exclude: Names = Field([], description="Columns to exclude. The target is never a feature.")


class HoldOut(Resource):
    """The rows held out from training; they are the default reference for drift and performance."""

    share: Share = Field(
        0.2, description="Share of the rows to hold out, or of the entities if the dataset declares entity."
    )
    seed: int = Field(0, ge=0, description="Random seed; another seed holds out other rows.")


class CostMatrix(Resource):
    """The gain of each kind of prediction, per row. A loss is negative."""

    true_positive: float = Field(1.0, description="Gain of a true positive.")
    false_positive: float = Field(-1.0, description="Gain of a false positive.")
    true_negative: float = Field(0.0, description="Gain of a true negative.")
    false_negative: float = Field(0.0, description="Gain of a false negative.")


class Model(Resource):
    """The keys of all kinds of models."""

    description: str | None = Field(None, description="Free text for readers. Changing it causes no recomputation.")
    task: Task = Field(description="What the model predicts.")
    target: str = Field(
        description="Column with the true value. It is missing in rows whose true value is not known yet. The batch or "
        "the reference may lack the column, but not both."
    )
    positive: Scalar = Field(
        None,
        description="Binary only: the positive class; if left out, the larger of the two classes of the model or the "
        "reference.",
    )
    threshold: float | None = Field(None, ge=0, le=1, description=_THRESHOLD)
    cost_matrix: CostMatrix = Field(
        CostMatrix.model_construct(), description="Binary only: the gains for the metric cost_matrix_gain."
    )


class TrainModel(Model):
    """A model that scikit-learn trains on a dataset; the role of a column decides its preprocessing."""

    kind: Literal["train"] = "train"
    algorithm: Algorithm = Field("hist_gradient_boosting", description="Learning algorithm.")
    parameters: dict[str, Scalar] = Field(
        {}, description="Parameters of the algorithm, by their names in scikit-learn."
    )
    dataset: Annotated[str, Ref("datasets")] = Field(description="Name of the dataset to train on.")
    features: Features = Field(Features.model_construct(), description="Which columns are features.")
    test: HoldOut = Field(HoldOut.model_construct(), description="Rows to hold out for testing.")
    seed: int = Field(0, ge=0, description="Random seed of the training.")
    frozen: bool = Field(
        False,
        description="Never train the model again. A run that would replace the trained version fails and says why.",
    )
    threshold: float = Field(0.5, ge=0, le=1, description=_THRESHOLD)


class SkopsModel(Model):
    """A scikit-learn estimator saved with skops; loading is limited to types that you allow."""

    kind: Literal["skops"] = "skops"
    connection: Annotated[str, Ref("connections")] | None = Field(
        None,
        description="Connection with the folder to which path is relative; if left out, path is relative to the spec.",
    )
    path: ReadPath = Field(description="Path of the .skops file.")
    allow: Names = Field([], description="Full names of types to trust in addition to the types that skops trusts.")
    features: Features = Field(
        Features.model_construct(), description="Columns to pass to the estimator, in the order of include."
    )


class ScoredModel(Model):
    """A model that runs elsewhere; its predictions are columns of the data."""

    kind: Literal["scored"] = "scored"
    prediction: str | None = Field(None, description="Column with the predicted class or value.")
    probability: str | dict[str, str] | None = Field(
        None, description="Column with the probability of the positive class, or one column per class."
    )
    features: Features = Field(Features.model_construct(), description="Which columns are features.")


class PythonModel(Model):
    """A Python function of yours that returns predictions or probabilities for the features, a polars frame."""

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
