"""The published table of metrics: which exist for datasets and which for stores, their range, and what they need.

One table, read by everyone: `validate` resolves every metric name against it, checks take ranges and directions from
it, the reference page prints it. The obvious alternative, each room announcing what it computes, would make
`validate` import polars and scikit-learn to learn the names.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

MetricScope = Literal["dataset", "store"]
Member = Literal["column", "class", "statistic", "performance"]

BINARY, MULTICLASS, REGRESSION = "binary_classification", "multiclass_classification", "regression"
_CLASSES = (BINARY, MULTICLASS)
_TASKS = (BINARY, MULTICLASS, REGRESSION)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table.

    Attributes
    ----------
    name
        The statistic, as written before the dot.
    scope
        Whether datasets or evaluation stores have it.
    member
        What follows the dot; None where nothing may.
    low, high
        The smallest and largest value that it can take; None where there is no bound.
    worse
        Which way is worse; None where neither is.
    neutral
        Its value when nothing has drifted, for a large batch; None where that is not defined.
    tasks
        Tasks of the model that it needs; empty where no model is needed.
    labels
        Whether it needs true values.
    roles
        Roles of column that have it; empty where `member` is not a column.
    description
        One line, with the source of its definition where there is one.
    """

    name: str
    scope: MetricScope
    description: str
    member: Member | None = None
    low: float | None = None
    high: float | None = None
    worse: Literal["higher", "lower"] | None = None
    neutral: float | None = None
    tasks: tuple[str, ...] = ()
    labels: bool = False
    roles: tuple[str, ...] = ()


_BOTH = ("numerical", "categorical")
_NUMERICAL = ("numerical",)
_CATEGORICAL = ("categorical",)


def _dataset() -> Iterable[Metric]:
    yield Metric("row_count", "dataset", "Number of rows.", low=0)
    yield Metric("column_count", "dataset", "Number of columns.", low=0)

    def column(
        name: str, text: str, low: float | None = None, high: float | None = None, numeric: bool = False
    ) -> Metric:
        return Metric(name, "dataset", text, "column", low, high, roles=_NUMERICAL if numeric else _BOTH)

    yield replace(column("missing_count", "Number of missing values (null or NaN).", 0), worse="higher")
    yield replace(column("missing_share", "Share of the rows whose value is missing.", 0, 1), worse="higher")
    yield column("distinct_count", "Number of different values, missing ones not counted.", 0)
    yield column("sum", "Sum of the values.", numeric=True)
    yield from (column(name, text, low, numeric=True) for name, text, low in _MOMENTS)


_MOMENTS: tuple[tuple[str, str, float | None], ...] = (
    ("mean", "Mean of the values that are not missing.", None),
    ("std", "Standard deviation, sample (n - 1).", 0),
    ("min", "Smallest value.", None),
    ("max", "Largest value.", None),
    ("median", "Median.", None),
    ("q05", "5 % quantile, linear between values.", None),
    ("q25", "25 % quantile, linear between values.", None),
    ("q75", "75 % quantile, linear between values.", None),
    ("q95", "95 % quantile, linear between values.", None),
)


def _whole_batch() -> Iterable[Metric]:
    def store(name: str, text: str, **rest: object) -> Metric:
        return replace(Metric(name, "store", text, low=0, high=1), **rest)  # type: ignore[arg-type] # the fields' own names

    yield store("row_count", "Rows of the batch.", high=None)
    yield store("labelled_share", "Share of the rows whose true value is known.", worse="lower", tasks=_TASKS)
    yield store(
        "data_drift",
        "Accuracy, on held-out rows, of a classifier that tells the batch from the reference: 0.5 none, 1 complete.",
        worse="higher",
        neutral=0.5,
    )
    yield store("data_drift_auc", "Area under the ROC curve of the same classifier.", worse="higher", neutral=0.5)
    yield store("data_drift_p", "p-value of data_drift, one-sided, over entities where declared.", worse="lower")
    yield store(
        "data_drift_significant",
        "1 where data_drift_p is below 1 - confidence, else 0: what to put a range on for small batches.",
        worse="higher",
        neutral=0,
    )
    yield store("drifted_columns", "Number of columns with drift >= 0.1.", high=None, worse="higher", neutral=0)
    yield store("drifted_share", "Share of columns with drift >= 0.1.", worse="higher", neutral=0)


def _drift() -> Iterable[Metric]:
    def distance(name: str, text: str, roles: tuple[str, ...] = _BOTH, high: float | None = 1) -> Metric:
        return Metric(name, "store", text, "column", 0, high, "higher", 0, roles=roles)

    def p_value(name: str, text: str, roles: tuple[str, ...] = _BOTH) -> Metric:
        return Metric(name, "store", text, "column", 0, 1, "lower", roles=roles)

    yield distance("drift", "The calibrated verdict: excess Jensen-Shannon distance; 0 where not significant.")
    yield p_value("drift_p", "p-value of drift, Holm-adjusted over the columns.")
    yield distance("ks", "Two-sample Kolmogorov-Smirnov distance, exact, ties handled.", _NUMERICAL)
    yield p_value("ks_p", "p-value of ks, two-sided.", _NUMERICAL)
    yield distance("wasserstein", "Wasserstein distance W1, in the column's unit.", _NUMERICAL, None)
    yield distance("wasserstein_normed", "wasserstein over the reference's standard deviation.", _NUMERICAL, None)
    yield distance("psi", "Population stability index; 0.5 is added to bins empty on either side.", high=None)
    yield distance("js", "Jensen-Shannon distance, base 2 (Lin 1991).")
    yield distance("hellinger", "Hellinger distance.")
    yield distance("total_variation", "Total variation distance: half the sum of absolute differences.")
    yield replace(distance("chi2", "Pearson's chi-squared of the two-sample table.", high=None), neutral=None)
    yield p_value("chi2_p", "p-value of chi2, asymptotic.")
    yield distance("l_infinity", "Largest difference of a category's share.", _CATEGORICAL)
    yield distance("cramers_v", "Cramér's V, bias-corrected (Bergsma 2013).", _CATEGORICAL)
    yield distance("unseen_share", "Share of the batch's rows in categories that the reference lacks.", _CATEGORICAL)


def _per_column() -> Iterable[Metric]:
    share = Metric("missing_share", "store", "Share of missing values in the batch.", "column", 0, 1, roles=_BOTH)
    yield replace(share, worse="higher")
    yield replace(share, name="reference_missing_share", description="Share of missing values in the reference.")
    yield replace(
        share,
        name="missing_share_change",
        description="missing_share minus reference_missing_share.",
        low=-1,
        worse="higher",
        neutral=0,
    )
    for name, text, low in _MOMENTS:
        moment = Metric(name, "store", f"Batch: {text[0].lower()}{text[1:]}", "column", low, roles=_NUMERICAL)
        yield moment
        yield replace(moment, name=f"reference_{name}", description=moment.description.replace("Batch", "Reference"))


def _predictions() -> Iterable[Metric]:
    yield Metric(
        "prediction_drift",
        "store",
        "Any statistic of a column, taken on the predicted class, probability or value: prediction_drift.psi.",
        "statistic",
        tasks=_TASKS,
    )
    share = Metric("predicted_share", "store", "", "class", 0, 1, tasks=_TASKS)
    of = "predicted as the class (regression: in the reference's decile 1..10)"
    yield replace(share, description=f"Share of the batch's rows {of}.")
    yield replace(share, name="reference_predicted_share", description=f"Share of the reference's rows {of}.")
    yield replace(
        share,
        name="fugacity",
        description="Relative change of the share predicted: (batch - reference) / reference.",
        low=-1,
        high=None,
        neutral=0,
    )


def _performance() -> Iterable[Metric]:
    def metric(
        name: str, text: str, tasks: tuple[str, ...] = _CLASSES, worse: Literal["higher", "lower"] = "lower"
    ) -> Metric:
        return Metric(name, "store", text, low=0, high=1, worse=worse, tasks=tasks, labels=True)

    binary, multiclass, regression = (BINARY,), (MULTICLASS,), (REGRESSION,)
    yield metric("accuracy", "Share of the predictions that are right.")
    for name, text in (
        ("precision", "Share of true positives among predicted positives"),
        ("recall", "Share of true positives among actual positives"),
        ("f1", "Harmonic mean of precision and recall"),
    ):
        yield metric(name, f"{text}; multiclass: macro mean.")
        yield metric(f"{name}_weighted", f"{text}; mean weighted by the classes' frequency.", multiclass)
    yield metric("roc_auc", "Area under the ROC curve; multiclass: one-vs-rest, macro mean.")
    yield metric("roc_auc_weighted", "Area under the ROC curve, one-vs-rest, weighted by frequency.", multiclass)
    yield metric("average_precision", "Area under the precision-recall curve, as a step function.", binary)
    yield replace(metric("log_loss", "Mean negative log-likelihood, natural logarithm.", worse="higher"), high=None)
    yield replace(
        metric("brier", "Mean squared difference of probability and truth (Brier 1950).", worse="higher"), high=2
    )
    yield metric(
        "calibration_error", "Expected calibration error: mean gap of confidence and frequency.", worse="higher"
    )
    yield replace(metric("mcc", "Matthews correlation coefficient."), low=-1)
    yield metric("hamming_loss", "Share of the predictions that are wrong.", worse="higher")
    yield replace(
        metric(
            "lift", "Share of positives in the tenth of the rows with the highest probability ÷ in all rows.", binary
        ),
        high=None,
    )
    yield replace(metric("cost_matrix_gain", "Mean gain a row by the cost matrix.", binary), low=None, high=None)
    for name, text in (
        ("mae", "Mean absolute error."),
        ("mse", "Mean squared error."),
        ("rmse", "Root of the mean squared error."),
        ("rmsle", "Root of the mean squared error of log(1 + value)."),
        ("mape", "Mean absolute error relative to the truth."),
    ):
        yield replace(metric(name, text, regression, "higher"), high=None)
    yield replace(metric("r2", "Share of the variance explained, bias counted.", regression), low=None)
    yield replace(
        metric("explained_variance", "Share of the variance explained, bias not counted.", regression), low=None
    )
    yield replace(metric("pearson", "Correlation of prediction and truth.", regression), low=-1)


def _changes() -> Iterable[Metric]:
    change = Metric("performance_change", "store", "", "performance", neutral=0, tasks=_TASKS, labels=True)
    yield replace(change, description="A performance metric minus the reference's: performance_change.roc_auc.")
    yield replace(
        change, name="performance_change_relative", description="The same difference divided by the reference's value."
    )


METRICS: tuple[Metric, ...] = (
    *_dataset(),
    *_whole_batch(),
    *_drift(),
    *_per_column(),
    *_predictions(),
    *_performance(),
    *_changes(),
)
