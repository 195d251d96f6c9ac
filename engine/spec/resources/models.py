"""Models: what is watched."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import Function, Names, Ref, Resource, Scalar, Share

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
"""The tasks that each algorithm can learn. (Ridge classifies too, but gives no probabilities.)"""


class Features(Resource):
    """Which columns are features: those of include (all if left out) without those of exclude."""

    include: Names | None = Field(None, min_length=1, description="Only these columns; all others if left out.")
    exclude: Names = Field([], description="Not these. The target never is one.")


class Test(Resource):
    """The rows held out of training: the default reference of drift and performance."""

    share: Share = Field(0.2, description="Share of the rows (of the entities, where the dataset declares one).")
    seed: int = Field(0, ge=0, description="Changes which rows are held out.")


class CostMatrix(Resource):
    """What each kind of prediction gains (a loss is negative), per row."""

    true_positive: float = Field(1.0, description="Gain of a true positive.")
    false_positive: float = Field(-1.0, description="Gain of a false positive.")
    true_negative: float = Field(0.0, description="Gain of a true negative.")
    false_negative: float = Field(0.0, description="Gain of a false negative.")


class Model(Resource):
    """What all kinds of models have."""

    description: str | None = Field(None, description="For people; recomputes nothing.")
    task: Task = Field(description="What the model predicts.")
    target: str = Field(description="Column of the true value; missing where it is not known yet.")
    positive: Scalar = Field(None, description="Binary: the class whose probability is meant; the larger if left out.")
    threshold: float = Field(0.5, ge=0, le=1, description="Binary: from this probability on positive is predicted.")
    cost_matrix: CostMatrix = Field(
        CostMatrix.model_construct(), description="Binary: gains per row, for cost_matrix_gain."
    )


class TrainModel(Model):
    """Trained by scikit-learn on a dataset, with preprocessing by column role."""

    kind: Literal["train"] = "train"
    algorithm: Algorithm = Field("hist_gradient_boosting", description="The learning algorithm.")
    parameters: dict[str, Scalar] = Field({}, description="scikit-learn's parameters of the algorithm, by its names.")
    dataset: Annotated[str, Ref("datasets")] = Field(description="The dataset that it is trained on.")
    features: Features = Field(Features.model_construct(), description="Which columns are features.")
    test: Test = Field(Test.model_construct(), description="The rows held out.")
    seed: int = Field(0, ge=0, description="Seed of the training.")


class SkopsModel(Model):
    """A scikit-learn estimator saved by skops; only the types that are allowed are loaded."""

    kind: Literal["skops"] = "skops"
    connection: Annotated[str, Ref("connections")] | None = Field(None, description="The folder that path starts from.")
    path: str = Field(description="The .skops file.")
    allow: Names = Field([], description="Types to trust besides those that skops trusts itself, by full name.")
    features: Features = Field(
        Features.model_construct(), description="Columns that it is given, in the order of include."
    )


class ScoredModel(Model):
    """Not run here: its predictions already are columns of the data."""

    kind: Literal["scored"] = "scored"
    prediction: str | None = Field(None, description="Column of the predicted class or value.")
    probability: str | dict[str, str] | None = Field(
        None, description="Column of the positive class's probability, or one column for each class."
    )
    features: Features = Field(Features.model_construct(), description="Which columns are features.")


class PythonModel(Model):
    """A function of yours that takes a polars frame of features and returns predictions or probabilities."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="module:function, found beside the spec.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments of the function.")
    features: Features = Field(Features.model_construct(), description="Columns that it is given.")


AnyModel = Annotated[TrainModel | SkopsModel | ScoredModel | PythonModel, Field(discriminator="kind")]
MODEL_KINDS: dict[str, type[Resource]] = {
    "train": TrainModel,
    "skops": SkopsModel,
    "scored": ScoredModel,
    "python": PythonModel,
}
