"""The catalogue of metrics: which exist for datasets and which for stores, their ranges, and what they need.

`validate` looks up metric names in it, checks take ranges and directions from it, and the reference page prints it. If
instead each package declared the metrics that it computes, `validate` would have to import polars and scikit-learn.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

MetricScope = Literal["dataset", "store"]
MetricMember = Literal["column", "class", "statistic", "performance"]

BINARY, MULTICLASS, REGRESSION = "binary_classification", "multiclass_classification", "regression"
_CLASSIFICATION_METRIC_TASKS = (BINARY, MULTICLASS)
_ALL_TASKS = (BINARY, MULTICLASS, REGRESSION)


@dataclass(frozen=True, slots=True)
class MetricDefinition:
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


_ALL_ROLES = ("numerical", "categorical")
_NUMERICAL_ROLE = ("numerical",)
_CATEGORICAL_ROLE = ("categorical",)
_TIME_ROLE = ("time",)


def _define_dataset_metrics() -> Iterable[MetricDefinition]:
    yield MetricDefinition("row_count", "dataset", "Number of rows.", low=0)
    yield MetricDefinition("column_count", "dataset", "Number of columns.", low=0)
    yield MetricDefinition(
        "repeated_share",
        "dataset",
        "Share of the rows that the batch before had too; without a value for the first batch.",
        low=0,
        high=1,
        worse="higher",
    )

    def column(
        name: str, text: str, low: float | None = None, high: float | None = None, numeric: bool = False
    ) -> MetricDefinition:
        return MetricDefinition(
            name, "dataset", text, "column", low, high, roles=_NUMERICAL_ROLE if numeric else (*_ALL_ROLES, "time")
        )

    yield replace(column("missing_count", "Number of missing values (null or NaN).", 0), worse="higher")
    yield replace(column("missing_share", "Share of the rows whose value is missing.", 0, 1), worse="higher")
    yield column("distinct_count", "Number of different values, without missing ones.", 0)
    yield column(
        "distinct_share", "Number of different values, divided by that of all values that are not missing.", 0, 1
    )
    age = MetricDefinition("age", "dataset", "", "column", worse="higher", roles=_TIME_ROLE, unit="seconds")
    yield replace(
        age,
        description="Time from the newest date or datetime to now, in seconds; checks may say `36h`. Without a time "
        "zone it is UTC, and a date is its first moment; negative if the newest time is in the future.",
    )
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


def _define_batch_metrics() -> Iterable[MetricDefinition]:
    def store(name: str, text: str, **rest: object) -> MetricDefinition:
        return replace(MetricDefinition(name, "store", text, low=0, high=1), **rest)  # type: ignore[arg-type] # names of fields

    yield store("row_count", "Rows of the batch.", high=None)
    yield store(
        "repeated_data",
        "1 if the batch is exactly the data of another `time`, as of a feed that stands still, else 0. Only in stores "
        "whose evaluations have a `time`.",
        worse="higher",
        neutral=0,
    )
    yield store("labelled_share", "Share of the rows whose true value is known.", worse="lower", tasks=_ALL_TASKS)
    yield store(
        "labelled_drift",
        "Drift between the predictions of the rows with and without a true value; 0 if not significant. "
        "If it is large, performance may not hold for all rows.",
        worse="higher",
        neutral=0,
        tasks=_ALL_TASKS,
    )
    yield store(
        "prediction_missing_share",
        "Share of the rows without a prediction, or without one of its probabilities.",
        worse="higher",
        tasks=_ALL_TASKS,
    )
    yield store(
        "data_drift",
        "Accuracy, on held-out rows, of a classifier that separates batch and reference: 0.5 no drift, 1 complete.",
        worse="higher",
        neutral=0.5,
        interval=True,
    )
    yield store(
        "data_drift_low",
        "Lower bound of data_drift at confidence, one-sided (Clopper & Pearson 1934); put a range on it. At least "
        "2 * data_drift_low - 1 of the mass differs (Lopez-Paz & Oquab 2017).",
        worse="higher",
        neutral=0.5,
    )
    yield store("data_drift_auc", "Area under the ROC curve of the same classifier.", worse="higher", neutral=0.5)
    yield store(
        "data_drift_p",
        "p-value of data_drift, one-sided, adjusted for the number of tests (Holm 1979): all columns, this one and "
        "predictions. Over entities if the dataset declares them.",
        worse="lower",
    )
    yield store(
        "data_drift_significant",
        "1 if data_drift_p is below 1 - confidence, else 0. In large batches any difference is significant: check "
        "data_drift_low instead.",
        worse="higher",
        neutral=0,
    )
    yield store("drifted_columns", "Number of columns with drift >= 0.1.", high=None, worse="higher", neutral=0)
    yield store("drifted_share", "Share of columns with drift >= 0.1.", worse="higher", neutral=0)


def _define_drift_metrics() -> Iterable[MetricDefinition]:
    def distance(name: str, text: str, roles: tuple[str, ...] = _ALL_ROLES, high: float | None = 1) -> MetricDefinition:
        return MetricDefinition(name, "store", text, "column", 0, high, "higher", 0, roles=roles)

    def p_value(name: str, text: str, roles: tuple[str, ...] = _ALL_ROLES) -> MetricDefinition:
        return MetricDefinition(name, "store", text, "column", 0, 1, "lower", roles=roles)

    yield distance(
        "drift",
        "Jensen-Shannon distance in excess of chance; 0 if not significant, no value if there are too few rows for any "
        "verdict, which counts as OK. Use it in checks of columns.",
    )
    yield distance(
        "drift_low",
        "One-sided lower bound of drift at `confidence`; 0 if drift is not significant. Use it in checks of small "
        "batches, where every significant drift is estimated as large.",
    )
    yield p_value(
        "drift_p",
        "p-value of drift, adjusted for the number of tests (Holm 1979): all columns, data_drift and predictions.",
    )
    yield distance("ks", "Two-sample Kolmogorov-Smirnov distance, exact, also with tied values.", _NUMERICAL_ROLE)
    yield p_value("ks_p", "p-value of ks, two-sided.", _NUMERICAL_ROLE)
    yield distance("wasserstein", "Wasserstein distance W1, in the column's unit.", _NUMERICAL_ROLE, None)
    yield distance(
        "wasserstein_normed", "wasserstein divided by the standard deviation of the reference.", _NUMERICAL_ROLE, None
    )
    yield distance(
        "psi", "Population stability index; 0.5 is added to the counts of a bin that is empty on one side.", high=None
    )
    yield distance("js", "Jensen-Shannon distance, base 2 (Lin 1991).")
    yield distance("hellinger", "Hellinger distance.")
    yield distance("total_variation", "Total variation distance: half the sum of absolute differences.")
    yield replace(
        distance("chi2", "Pearson's chi-squared statistic of the table of counts, uncorrected (no Yates).", high=None),
        neutral=None,
    )
    yield p_value("chi2_p", "p-value of chi2, asymptotic and uncorrected (no Yates).")
    yield distance("l_infinity", "Largest difference in the share of a category.", _CATEGORICAL_ROLE)
    yield distance("cramers_v", "Cramér's V, bias-corrected (Bergsma 2013).", _CATEGORICAL_ROLE)
    yield distance(
        "unseen_share", "Share of the batch's rows with a category that the reference does not have.", _CATEGORICAL_ROLE
    )


def _define_column_metrics() -> Iterable[MetricDefinition]:
    share = MetricDefinition(
        "missing_share", "store", "Share of missing values in the batch.", "column", 0, 1, roles=_ALL_ROLES
    )
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
    yield replace(
        share,
        name="type_changed",
        description="1 if the batch has the column in another family of types, such as text in place of numbers, "
        "else 0; integers and decimals are one family.",
        worse="higher",
        neutral=0,
    )
    for name, text, low in _MOMENTS:
        moment = MetricDefinition(
            name, "store", f"Batch: {text[0].lower()}{text[1:]}", "column", low, roles=_NUMERICAL_ROLE
        )
        yield moment
        yield replace(moment, name=f"reference_{name}", description=moment.description.replace("Batch", "Reference"))


def _define_prediction_metrics() -> Iterable[MetricDefinition]:
    yield MetricDefinition(
        "prediction_drift",
        "store",
        "A statistic of columns, computed for the predicted class, probability or value: prediction_drift.psi.",
        "statistic",
        tasks=_ALL_TASKS,
    )
    share = MetricDefinition("predicted_share", "store", "", "class", 0, 1, tasks=_ALL_TASKS)
    of = "predicted as the class (regression: in decile 1..10 of the reference)"
    yield replace(share, description=f"Share of the batch's rows {of}.")
    yield replace(share, name="reference_predicted_share", description=f"Share of the reference's rows {of}.")
    yield replace(
        share,
        name="fugacity",
        description="Relative change of the predicted share: (batch - reference) / reference.",
        low=-1,
        high=None,
        neutral=0,
    )


def _define_performance_metrics() -> Iterable[MetricDefinition]:
    def metric(
        name: str,
        text: str,
        tasks: tuple[str, ...] = _CLASSIFICATION_METRIC_TASKS,
        worse: Literal["higher", "lower"] = "lower",
    ) -> MetricDefinition:
        return MetricDefinition(
            name, "store", text, low=0, high=1, worse=worse, tasks=tasks, labels=True, interval=True
        )

    binary, multiclass, regression = (BINARY,), (MULTICLASS,), (REGRESSION,)
    yield metric("accuracy", "Share of correct predictions.")
    for name, text in (
        ("precision", "Share of true positives among predicted positives"),
        ("recall", "Share of true positives among actual positives"),
        ("f1", "Harmonic mean of precision and recall"),
    ):
        yield metric(name, f"{text}; multiclass: macro mean.")
        yield metric(f"{name}_weighted", f"{text}; mean weighted by the frequency of the classes.", multiclass)
    yield metric("roc_auc", "Area under the ROC curve; multiclass: one-vs-rest, macro mean.")
    yield metric(
        "roc_auc_weighted",
        "Area under the ROC curve, one-vs-rest, weighted by the frequency of the classes.",
        multiclass,
    )
    yield metric("average_precision", "Area under the precision-recall curve, as a step function.", binary)
    yield replace(metric("log_loss", "Mean negative log-likelihood, natural logarithm.", worse="higher"), high=None)
    yield replace(
        metric("brier", "Mean squared difference between probability and truth (Brier 1950).", worse="higher"), high=2
    )
    yield metric(
        "calibration_error",
        "Expected calibration error: mean difference between confidence and frequency.",
        worse="higher",
    )
    yield replace(metric("mcc", "Matthews correlation coefficient."), low=-1)
    yield metric("hamming_loss", "Share of wrong predictions.", worse="higher")
    yield replace(
        metric(
            "lift",
            "Share of positives in the tenth of rows with the highest probability, divided by that in all rows.",
            binary,
        ),
        high=None,
    )
    yield replace(metric("cost_matrix_gain", "Mean gain per row by the cost matrix.", binary), low=None, high=None)
    for name, text in (
        ("mae", "Mean absolute error."),
        ("mse", "Mean squared error."),
        ("rmse", "Root of the mean squared error."),
        ("rmsle", "Root of the mean squared error of log(1 + value)."),
        ("mape", "Mean absolute error relative to the truth."),
    ):
        yield replace(metric(name, text, regression, "higher"), high=None)
    yield replace(
        metric("r2", "Coefficient of determination; a bias of the predictions lowers it.", regression),
        low=None,
    )
    yield replace(
        metric(
            "explained_variance",
            "Share of the variance explained; a bias of the predictions does not matter.",
            regression,
        ),
        low=None,
    )
    yield replace(metric("pearson", "Pearson correlation between prediction and truth.", regression), low=-1)


def _define_change_metrics() -> Iterable[MetricDefinition]:
    change = MetricDefinition(
        "performance_change", "store", "", "performance", neutral=0, tasks=_ALL_TASKS, labels=True, interval=True
    )
    yield replace(change, description="A performance metric minus that of the reference: performance_change.roc_auc.")
    yield replace(
        change,
        name="performance_change_relative",
        description="The same difference, divided by the value of the reference.",
    )


def _define_challenger_metrics() -> Iterable[MetricDefinition]:
    metric = MetricDefinition(
        "advantage", "store", "", "performance", worse="lower", neutral=0, tasks=_ALL_TASKS, labels=True, interval=True
    )
    yield replace(
        metric,
        description="How much better the challenger is than the model of the store, on the same rows: its "
        "performance metric minus that of the model, with the sign turned where lower is better, so that "
        "positive always means that the challenger is better: advantage.roc_auc. Its interval is paired.",
    )
    yield replace(
        metric,
        name="advantage_low",
        interval=False,
        description="Low end of the interval of advantage: above 0, the challenger is better for certain, at the "
        "store's `confidence`; put a range or a condition on it.",
    )
    yield replace(
        metric,
        name="challenger",
        worse=None,
        neutral=None,
        description="A performance metric of the challenger itself, on the rows on which both are compared: "
        "challenger.roc_auc.",
    )


NOT_ESTIMATED = ("r2", "explained_variance", "pearson")
"""Performance metrics that no expected loss of the rows tells anything about."""


def _define_estimated_metrics() -> Iterable[MetricDefinition]:
    for metric in _define_performance_metrics():
        if metric.name not in NOT_ESTIMATED:
            yield replace(
                metric,
                name=f"estimated_{metric.name}",
                description=f"{metric.name} as it is to be expected before the labels come.",
                labels=False,
            )
    yield MetricDefinition(
        "estimate_contradicted",
        "store",
        "1 if the labels that have come contradict the estimates, at the store's `confidence` over all metrics, else "
        "0: the relation between columns and target has changed. Its p-value is adjusted (Holm 1979).",
        low=0,
        high=1,
        worse="higher",
        neutral=0,
        tasks=_ALL_TASKS,
    )
    yield MetricDefinition(
        "estimate_effective_rows",
        "store",
        "Independent rows (entities, where the dataset declares them) of the reference that the estimates rest on: "
        "fewer than it has where they are weighted to stand for the batch (Kish 1965).",
        low=0,
        worse="lower",
        tasks=_ALL_TASKS,
    )


def _define_segment_metrics() -> Iterable[MetricDefinition]:
    yield MetricDefinition(
        "segment_drift",
        "store",
        "Only in segments: the largest drift of the segment's columns and predictions; 0 if none is significant among "
        "all tests of the evaluation. Its p-value is the smallest of theirs.",
        low=0,
        high=1,
        worse="higher",
        neutral=0,
    )
    yield MetricDefinition(
        "found_segments",
        "store",
        "Only with `find_segments`: how many groups of rows were found in which columns drifted, or performance fell, "
        "more than in all rows.",
        low=0,
        worse="higher",
        neutral=0,
    )


CHALLENGER_METRICS = ("advantage", "advantage_low", "challenger")
"""The metrics that a store has only with a challenger."""

METRICS: tuple[MetricDefinition, ...] = (
    *_define_dataset_metrics(),
    *_define_batch_metrics(),
    *_define_drift_metrics(),
    *_define_column_metrics(),
    *_define_prediction_metrics(),
    *_define_performance_metrics(),
    *_define_change_metrics(),
    *_define_estimated_metrics(),
    *_define_challenger_metrics(),
    *_define_segment_metrics(),
)
"""All metrics, in the order in which they are shown."""

_MEASURED = [metric for metric in METRICS if metric.labels and metric.member is None]

PERFORMANCE_METRICS = tuple(metric.name for metric in _MEASURED)
METRICS_BY_TASK = {task: tuple(metric.name for metric in _MEASURED if task in metric.tasks) for task in _ALL_TASKS}
"""The performance metrics that a model of each task has."""
ESTIMATED_BY_TASK = {
    task: tuple(one for one in names if one not in NOT_ESTIMATED) for task, names in METRICS_BY_TASK.items()
}
"""Those of them that can be estimated before labels come: `roc_auc` as the metric `estimated_roc_auc`."""

SEGMENT_DRIFTS = ("drift", "drift_low", "drift_p")
"""The statistics of columns, and of predictions, that a segment has."""
SEGMENT_METRICS = (
    "row_count", "segment_drift", "drifted_columns", "drifted_share", *SEGMENT_DRIFTS, "prediction_drift",
    "labelled_share", *PERFORMANCE_METRICS, "performance_change", "performance_change_relative",
    *(metric.name for metric in METRICS if metric.name.startswith("estimated_")),
)  # fmt: skip
"""The metrics that a segment has."""
